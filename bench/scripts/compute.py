"""Classes, dictionaries, strings, generators and numbers: what scripts do."""


class Random:
    def __init__(self, state):
        self.state = state

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % limit


def queens(size, row=0, columns=0, left=0, right=0):
    if row == size:
        return 1
    free = ~(columns | left | right) & ((1 << size) - 1)
    found = 0
    while free:
        bit = free & -free
        free ^= bit
        found += queens(size, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1)
    return found


random = Random(42)
count = {}
lines = []
for _ in range(25000):
    words = [chr(97 + random.below(26)) + str(random.below(500)) for _ in range(4)]
    lines.append(" ".join(words))
    for word in words:
        count[word] = count.get(word, 0) + 1
frequent = sorted(count, key=lambda word: (-count[word], word))[:10]
lengths = sum(len(line.replace("1", "one").upper().split()[2]) for line in lines)
mean = sum(int(line.rsplit("a")[-1].split()[0][1:] or 0) if "a" in line else 1 for line in lines) / len(lines)
print(*frequent)
print(queens(8), lengths, f"{mean:.6f}", sum(x * x % 7 for x in range(300000)))

# Sourced by the jobs: no locale, no clock, no randomness; a folder of its own; made-up data.
export LC_ALL=C TZ=UTC PATH=/usr/bin:/bin
cd "$1" || exit 1

# numbers SEED COUNT: pseudo-random numbers below 2^31, one per line
numbers() {
  mawk -v x="$1" -v n="$2" 'BEGIN { for (i = 0; i < n; i++) { x = (x * 16807) % 2147483647; print x } }'
}

# words SEED COUNT: lines of text, with some repetition for compressors
words() {
  numbers "$1" "$2" | mawk '{
    split("lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor", w, " ")
    printf "%s %s %s %d %s\n", w[$1 % 12 + 1], w[int($1 / 7) % 12 + 1], w[int($1 / 91) % 12 + 1], $1 % 1000, substr("abcdefghijklmnopqrstuvwxyz", $1 % 20 + 1, 6)
  }'
}

# digest NAME: of standard input
digest() {
  echo "$1 $(sha256sum)"
}

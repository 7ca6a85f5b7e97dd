. "${0%/*}/data.sh"
words 3 12000 > text
head -c 1000000 /dev/zero > zeros
: > empty
for program in md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum; do
  $program text zeros empty
done
for length in 1 55 56 63 64 65 111 112 127 128; do
  head -c $length text | sha256sum
  head -c $length text | sha512sum
done
sha256sum text empty > sums && sha256sum -c sums
b2sum -l 160 text
sha256sum --tag text
base64 text | sha256sum
base64 text | base64 -d | cmp - text && echo same

# $2 is the awk to run
. "${0%/*}/data.sh"
awk=$2
words 7 6000 > text
numbers 8 6000 > figures
$awk '{ n[$1]++; v[$1] += $4 } END { for (k in n) print k, n[k], v[k], v[k] / n[k] }' text | sort
$awk '{ s += sqrt($1); p += log($1); t += sin($1) * cos($1); a += atan2($1, 3) } END { printf "%.17g %.17g %.17g %.17g\n", s, p, t, a }' figures
$awk 'BEGIN { for (i = -40; i < 40; i++) printf "%.17g %e %g %.3f %d %x\n", exp(i / 3), 2 ^ i, 10 ^ -i, i / 7, i * 1e5, i * i }'
$awk '{ m[NR % 20, $1 % 30] += $1 % 97 } END { for (i = 0; i < 20; i++) { r = ""; for (j = 0; j < 30; j += 5) r = r " " m[i, j] + 0; print r } }' figures
$awk '{ gsub(/[aeiou]/, "<&>"); sub(/ /, "_"); print toupper(substr($0, 3, 40)), length($0), index($0, "t") }' text | sha256sum
$awk 'match($0, /[a-z]+ [0-9]+/) { print RSTART, RLENGTH, substr($0, RSTART, RLENGTH) }' text | sha256sum
$awk -F'[ e]+' '{ c += NF; $2 = "x"; if (NR % 1000 == 0) print } END { print c }' text
$awk 'BEGIN { for (i = 2; i <= 8000; i++) { if (!s[i]) { n++; for (j = i * i; j <= 8000; j += i) s[j] = 1 } } print n }'
$awk 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(19) }'
$awk 'BEGIN { srand(42); x = 1; for (i = 0; i < 50000; i++) x = (x * 3.7 * (1 - x / 1.9)) ; printf "%.17g\n", x; y = 0.3; for (i = 0; i < 30000; i++) y = 3.9 * y * (1 - y); printf "%.17g\n", y }'
$awk 'NR == FNR { a[$1 % 500] = $1; next } ($4 in a) { n++ } END { print n }' figures text
$awk 'BEGIN { while ((getline line < "figures") > 0) { s = s substr(line, 1, 1); n++ } print n, length(s), substr(s, 100, 60); "echo piped" | getline p; print p }'
$awk '{ printf "%c%5s|%-8d|%08.3f\n", 65 + NR % 26, $1, $4, $4 / 3 }' text | sha256sum

sh "${0%/*}/awk-jobs.sh" "$1" gawk
. "${0%/*}/data.sh"
gawk -M 'BEGIN { print 2 ^ 300, 3 ^ 150 % 1000007; PREC = 200; printf "%.50f\n", sqrt(2) }'
gawk '{ a[NR] = $1 } END { n = asort(a); for (i = 1; i <= n; i += 700) print a[i] }' figures
gawk 'BEGIN { print and(0xff0f, 0x0ff0), or(5, 10), xor(123456, 654321), lshift(3, 40), strtonum("0x1fffff"), gensub(/(a+)(b+)/, "\\2\\1", "g", "aabbbab") }'
gawk 'BEGIN { print strftime("%Y-%m-%d %H:%M:%S %j", 1700000000, 1), mktime("2026 02 28 23 59 60") }'

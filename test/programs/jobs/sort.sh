. "${0%/*}/data.sh"
words 11 8000 > text
numbers 12 8000 > figures
mawk '{ printf "%d.%d.%d-%d%s\n", $1 % 7, $1 / 8 % 120, $1 / 1000 % 15, $1 % 40, $1 % 3 ? "" : "~rc" $1 % 9 }' figures > versions
mawk '{ printf "%.6e %s%d\n", ($1 - 1e9) / 7 ^ ($1 % 9), $1 % 2 ? "-" : "", $1 % 5000 }' figures > floats
mawk '{ split("K M G T", u, " "); printf "%d%s\n", $1 % 900, u[$1 % 4 + 1] }' figures > sizes
sort text | digest plain
sort -n figures | digest -n
sort -rn figures | head -3
sort -k4,4n -k1,1 text | digest -k
sort -k2.2,2.4 -k4nr text | digest -k2.2
sort -V versions | digest -V
sort -V versions | tail -3
sort -g floats | digest -g
sort -h sizes | digest -h
sort -u -k1,1 text
sort -t. -k2n -k3n versions | digest -t.
sort -fds text | digest -fds
sort -z text | digest -z
sort -s -k3,3 text | uniq -c | sort -rn | head -5
sort -S 64K figures text | digest merged-from-files
sort --parallel=2 -S 4M floats text figures | digest threads
sort text > sorted && sort -c sorted && echo in-order
sort -c text 2>&1
sort -m sorted sorted | uniq -d | wc -l
sort -R --random-source=figures figures | digest -R
comm -12 sorted sorted | digest comm
join -1 4 -2 1 sorted /dev/null | wc -l

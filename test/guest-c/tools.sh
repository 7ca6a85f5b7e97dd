#!/bin/sh
# Everyday programs on made-up data; prints digests and small results. LC_ALL=C, no clock, no randomness.
export LC_ALL=C TZ=UTC PATH=/usr/bin:/bin:/usr/sbin:/sbin
cd "${1:-/tmp}" || exit 1
i=0
awk 'BEGIN { x = 12345; for (i = 0; i < 8000; i++) { x = (x * 1103515245 + 12345) % 2147483648; printf "%d %s %.6f\n", x % 1000, substr("abcdefghijklmnopqrstuvwxyz", x % 20 + 1, 5), x / 7 } }' > data.txt
echo "data $(sha256sum < data.txt)"
sort -k2,2 -k1,1n data.txt > sorted.txt
echo "sort $(sha256sum < sorted.txt)"
sort -u -k1,1n data.txt | wc -l
gzip -9 -n -c data.txt > data.gz
echo "gzip $(wc -c < data.gz) $(sha256sum < data.gz)"
gzip -dc data.gz | cmp - data.txt && echo "gunzip same"
awk '{ n[$2] += $1; s += $3 } END { for (k in n) t += n[k]; printf "awk %d %.4f %d\n", t, s, length(n) }' data.txt
echo 'scale=60; 4*a(1); e(1); sqrt(2); 2^200; l(10)' | bc -l
perl -e 'my %h; while (<>) { my @f = split; $h{$f[1]} .= chr(65 + $f[0] % 26) if $f[2] =~ /^(\d+)\.(\d*5)\d$/ } printf "perl %d %s\n", scalar keys %h, join ",", map { "$_=" . length $h{$_} } (sort keys %h)[0..5]' data.txt
perl -e 'my ($a, $b) = (1, 1); for (1 .. 50000) { ($a, $b) = ($b, ($a + $b) % 1000003) } printf "%d %.15g %.12e\n", $a, sqrt($a) * 3.7 ** 5, exp(sin($a))'
perl -e 'my @q = sort { $a <=> $b } map { ($_ * 7919) % 10007 } 1 .. 10000; print "@q[0, 99, 5000, 9999]\n"'
rm -f data.txt sorted.txt data.gz

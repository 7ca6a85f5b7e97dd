. "${0%/*}/data.sh"
words 13 6000 > text
numbers 14 6000 > figures
perl -ne '/^(\w+) (\w+) .*?(\d+) ([a-z]*[m-p])/ and $h{$1}{$2} += $3; END { for $a (sort keys %h) { print "$a: ", join(",", map { "$_=$h{$a}{$_}" } sort keys %{$h{$a}}), "\n" } }' text
perl -pe 's/(\w+) (\w+)/$2 $1/; s/([aeiou])(?=[^aeiou])/<$1>/g; tr/a-m/A-M/; $_ = reverse lc if $. % 50 == 0' text | sha256sum
perl -e 'printf "%.17g %e %g %s %5.2f|%-8s|%+d|%#x|%#o|%b|%v d\n", $_ / 7, $_ ** 3.5, exp($_), $_ * 1e15, sqrt($_), $_ x 2, $_, $_, $_, $_, "1.22.333" for 1 .. 60'
perl -e 'my ($a, $b, $s) = (1, 1, 0); for my $i (1 .. 300000) { ($a, $b) = ($b, ($a + $b) & 0xffffff); $s ^= $a << ($i & 7) } print "$a $s\n"'
perl -ne 'chomp; push @n, $_; END { my @s = sort { $a <=> $b } @n; my @t = sort { reverse($a) cmp reverse($b) } @n; my $sum = 0; $sum = ($sum * 31 + $_) % 1000000007 for @s, @t; print "$sum @s[0 .. 4] @t[0 .. 4]\n" }' figures
perl -e 'my $p = pack "C n N v V q Q f d w H* A5 Z* b16 (S>)3", 200, 513, 70000, 513, 70000, -5, 2 ** 60, 1.1, exp(1), 300, "deadbeef", "ab", "zz", "1011001110001111", 1, 2, 3; print unpack("H*", $p), "\n", join(" ", unpack "C n N v V q Q", $p), "\n"'
perl -MDigest::SHA=sha1_hex,sha256_hex,sha512_base64 -MDigest::MD5=md5_hex -e 'local $/; open my $f, "<", "text"; my $d = <$f>; print join("\n", md5_hex($d), sha1_hex($d), sha256_hex($d), sha512_base64($d)), "\n"'
perl -MList::Util=sum,reduce,first,shuffle -MPOSIX=floor,fmod,strtol,strftime -e 'print sum(map { $_ ** 2 } 1 .. 1000), " ", reduce { ($a * $b) % 1000003 } 1 .. 5000; print " ", floor(-3.5), " ", fmod(1e10, 7.3), " ", (strtol("7fff", 16))[0], " ", strftime("%a %d %b %Y", gmtime 1e9), "\n"'
perl -Mbigint -e 'my $f = 1; $f *= $_ for 1 .. 60; print "$f ", $f % (2 ** 61 - 1), " ", 3 ** 100, "\n"'
perl -MStorable=freeze,thaw -MData::Dumper -e '$Data::Dumper::Sortkeys = 1; $Data::Dumper::Indent = 1; my $d = { a => [1, 2.5, "x"], b => { c => undef, d => \"s" }, n => -17 }; print Dumper(thaw freeze $d)'
perl -MMIME::Base64 -MEncode -e 'my $s = join "", map { chr($_ * 37 % 0x2000 + 32) } 1 .. 2000; my $u = encode("UTF-8", $s); print length $u, " ", encode_base64(substr($u, 0, 60)), (decode("UTF-8", $u) eq $s ? "same" : "differs"), " ", uc(substr $s, 0, 3) eq lc(substr $s, 0, 3) ? 1 : 0, "\n"; print encode("iso-8859-1", "na\x{ef}ve"), "\n"'
perl -e 'my $s = "a" x 25; my $n = 0; $n++ while $s =~ /(?=(a+?)(a*)$)/g; print "$n\n"; my @w = ("b" x 18 . "c") =~ /^(b+)+d|^((?:b|bb)*)c/; print defined $w[1] ? length $w[1] : "none", "\n"'
perl -e 'my @g = map { [map { ($_ * 7 + $_[0]) % 11 / 3 } 1 .. 25] } 1 .. 25; my @r; for my $i (0 .. 24) { for my $j (0 .. 24) { my $t = 0; $t += $g[$i][$_] * $g[$_][$j] for 0 .. 24; $r[$i][$j] = $t } } printf "%.15g %.15g\n", $r[3][4], $r[24][24]'
perl -e 'pipe my $r, my $w; if (my $p = fork) { close $w; local $/; my $got = <$r>; waitpid $p, 0; print length $got, " ", $? >> 8, "\n" } else { close $r; print $w "x" x 100000; close $w; exit 5 }'
perl -e '$SIG{ALRM} = sub { print "alarm\n" }; $SIG{USR1} = sub { print "usr1\n" }; kill USR1 => $$; eval { local $SIG{__DIE__} = sub { print "dying: $_[0]" }; die "now\n" }; print "after: $@"'

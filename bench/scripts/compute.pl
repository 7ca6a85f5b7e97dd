# Counting words, regular expressions, sorting, calls: what scripts do.
use strict;
use warnings;
use List::Util qw(sum max);

my $state = 42;
sub random { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0] }

my (%count, @lines);
for my $i (1 .. 60000) {
  my $line = join ' ', map { chr(97 + random(26)) . random(500) } 1 .. 4;
  push @lines, $line;
  $count{$_}++ for split / /, $line;
}
my @frequent = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
my $matched = grep { /^([a-m])\d+ .*\1[0-4]\d*$/ } @lines;
my $replaced = 0;
for my $line (@lines) { $replaced += ($line =~ s/(\d)(\d)/$2$1/g) }
my @numbers = map { /(\d+)$/ ? $1 : 0 } @lines;
print "@frequent\n", "$matched $replaced ", sum(@numbers), ' ', max(@numbers), "\n";

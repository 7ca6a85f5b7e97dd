. "${0%/*}/data.sh"
export BC_LINE_LENGTH=0
echo 'scale=200; 4*a(1)' | bc -l
echo 'scale=100; e(1); sqrt(2); l(2); s(1); c(1); j(0,1)' | bc -l
echo '2^1000; 3^400 % 10^50; (2^521-1) / 10^20' | bc
echo 'define f(n) { if (n < 2) return (1); return (n * f(n - 1)); } f(200)' | bc
echo 'obase=16; 2^200-1; obase=2; 12345678901234567890; obase=10; ibase=16; FFFFFFFFFFFFFFFFFFFF' | bc
echo 'a=0; b=1; for (i = 0; i < 1000; i++) { t = a + b; a = b; b = t; }; a' | bc
echo 'scale=30; x=1; for (i = 0; i < 8; i++) { x = (x + 2 / x) / 2; x }' | bc
echo 's=0; for (i = 1; i <= 3000; i++) { s += i ^ 3 % 1009; }; s' | bc
echo 'scale=20; for (i = 1; i < 12; i++) { e(i) / i; l(i) * a(i) }' | bc -l
bc <<'END'
define g(a, b) {
  auto t
  while (b) { t = a % b; a = b; b = t; }
  return (a);
}
g(2^89 - 1, 3^50); g(10^30, 6^20)
END
echo '1/0' | bc 2>&1
echo '3+; 4' | bc 2>&1
echo 'length(12345.678); scale(1.2345)' | bc
numbers 5 200 | tr '\n' '+' | sed 's/+$/\n/' | bc

/* SSE to SSE4.2 through intrinsics. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <x86intrin.h>

static uint64_t state = 0xfeedfacecafebeefull;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
static uint64_t sum;
static void mix(__m128i v) {
  uint64_t w[2];
  _mm_storeu_si128((__m128i *)w, v);
  sum = (sum ^ w[0]) * 1099511628211ull;
  sum = (sum ^ w[1]) * 1099511628211ull;
}
static __m128i random_vector(void) { return _mm_set_epi64x(next(), next()); }
#define LINE(name) printf(name " %016" PRIx64 "\n", sum); sum = 0

int main(void) {
  for (int i = 0; i < 5000; i++) {
    __m128i a = random_vector(), b = random_vector();
    mix(_mm_add_epi8(a, b)); mix(_mm_adds_epi16(a, b)); mix(_mm_subs_epu8(a, b)); mix(_mm_mullo_epi16(a, b));
    mix(_mm_mulhi_epu16(a, b)); mix(_mm_madd_epi16(a, b)); mix(_mm_mul_epu32(a, b)); mix(_mm_sad_epu8(a, b));
    mix(_mm_avg_epu8(a, b)); mix(_mm_packs_epi32(a, b)); mix(_mm_packus_epi16(a, b)); mix(_mm_unpackhi_epi8(a, b));
    mix(_mm_shufflelo_epi16(a, 0x1b)); mix(_mm_shuffle_epi32(a, 0x4e)); mix(_mm_srai_epi16(a, 5)); mix(_mm_slli_si128(a, 3));
    mix(_mm_sll_epi64(a, _mm_and_si128(b, _mm_set_epi64x(0, 127)))); mix(_mm_cmpgt_epi32(a, b)); mix(_mm_min_epu8(a, b));
    sum += _mm_movemask_epi8(a);
  }
  LINE("sse2");
  for (int i = 0; i < 5000; i++) {
    __m128i a = random_vector(), b = random_vector();
    mix(_mm_shuffle_epi8(a, b)); mix(_mm_maddubs_epi16(a, b)); mix(_mm_mulhrs_epi16(a, b)); mix(_mm_alignr_epi8(a, b, 5));
    mix(_mm_abs_epi32(a)); mix(_mm_sign_epi8(a, b)); mix(_mm_hadds_epi16(a, b)); mix(_mm_blendv_epi8(a, b, random_vector()));
    mix(_mm_mullo_epi32(a, b)); mix(_mm_mul_epi32(a, b)); mix(_mm_minpos_epu16(a)); mix(_mm_mpsadbw_epu8(a, b, 5));
    mix(_mm_cvtepi8_epi64(a)); mix(_mm_cvtepu16_epi32(a)); mix(_mm_packus_epi32(a, b)); mix(_mm_cmpeq_epi64(a, b));
    mix(_mm_cmpgt_epi64(a, b)); mix(_mm_insert_epi32(a, i, 2)); mix(_mm_cmpestrm(a, i & 15, b, 9, 0x44)); mix(_mm_cmpistrm(a, b, 0x18));
    sum += _mm_cmpestri(a, 11, b, i & 15, 0x0c) + _mm_testc_si128(a, b) + _mm_extract_epi8(a, 7);
    sum = _mm_crc32_u64(sum, next()); sum = _mm_crc32_u8(sum, i);
  }
  LINE("sse4");
  for (int i = 0; i < 5000; i++) {
    __m128 a = _mm_cvtepi32_ps(random_vector()), b = _mm_cvtepi32_ps(random_vector());
    __m128d c = _mm_cvtepi32_pd(random_vector()), d = _mm_cvtepi32_pd(random_vector());
    mix(_mm_castps_si128(_mm_add_ps(a, b))); mix(_mm_castps_si128(_mm_div_ps(a, b))); mix(_mm_castps_si128(_mm_min_ps(a, b)));
    mix(_mm_castps_si128(_mm_sqrt_ps(_mm_mul_ps(a, a)))); mix(_mm_castps_si128(_mm_cmplt_ps(a, b))); mix(_mm_castpd_si128(_mm_mul_pd(c, d)));
    mix(_mm_castpd_si128(_mm_hadd_pd(c, d))); mix(_mm_castps_si128(_mm_addsub_ps(a, b))); mix(_mm_castps_si128(_mm_dp_ps(a, b, 0x71)));
    mix(_mm_castpd_si128(_mm_round_pd(_mm_div_pd(c, d), _MM_FROUND_FLOOR))); mix(_mm_cvttpd_epi32(c)); mix(_mm_cvtps_epi32(_mm_div_ps(a, b)));
    mix(_mm_castpd_si128(_mm_cvtps_pd(a))); mix(_mm_castps_si128(_mm_cvtpd_ps(c))); mix(_mm_castps_si128(_mm_shuffle_ps(a, b, 0x93)));
    mix(_mm_castps_si128(_mm_insert_ps(a, b, 0x9a)));
  }
  LINE("float");
  printf("mxcsr %04x\n", _mm_getcsr());
  return 0;
}

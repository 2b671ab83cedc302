// Products of bf16 numbers with sums in f32, for CPUs with AVX512_BF16; src/kernels/bf16/products.rs
// declares them.

#include "pair_product.h"

namespace {

struct Bf16 {
  using Sum = __m512;

  static Sum multiply_add(Sum sum, __m512i first, __m512i second) {
    return _mm512_dpbf16_ps(sum, (__m512bh)first, (__m512bh)second);
  }
};

// What a sum begins with, and how it ends; the same struct is in products.rs.
struct Epilogue {
  // [32], or null.
  const float* bias;
  bool add;
  bool relu;
};

// 16 numbers as f32.
inline __m512 widen(__m256i numbers) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
}

// Writes bf16 pairs, each sum rounded once.
template <size_t kRows>
void to_pairs(const Tile& tile, const Epilogue& epilogue, uint32_t* out, size_t stride) {
  __m512 sums[kRows][2];
  const __m512 zero = _mm512_setzero_ps();
  const __m512 bias[2] = {epilogue.bias ? _mm512_loadu_ps(epilogue.bias) : zero,
                          epilogue.bias ? _mm512_loadu_ps(epilogue.bias + 16) : zero};
#pragma GCC unroll 12
  for (size_t row = 0; row < kRows; ++row) {
    sums[row][0] = bias[0];
    sums[row][1] = bias[1];
  }
  multiply_add<Bf16, kRows>(tile, sums);
#pragma GCC unroll 12
  for (size_t row = 0; row < kRows; ++row) {
    if (epilogue.add) {
      const __m512i before = _mm512_loadu_si512(out + row * stride);
      sums[row][0] = _mm512_add_ps(sums[row][0], widen(_mm512_castsi512_si256(before)));
      sums[row][1] = _mm512_add_ps(sums[row][1], widen(_mm512_extracti64x4_epi64(before, 1)));
    }
    if (epilogue.relu) {
      sums[row][0] = _mm512_max_ps(sums[row][0], zero);
      sums[row][1] = _mm512_max_ps(sums[row][1], zero);
    }
    _mm512_storeu_si512(out + row * stride,
                        (__m512i)_mm512_cvtne2ps_pbh(sums[row][1], sums[row][0]));
  }
}

// Writes the sums as they are.
template <size_t kRows>
void to_sums(const Tile& tile, float* out, size_t stride) {
  __m512 sums[kRows][2];
#pragma GCC unroll 12
  for (size_t row = 0; row < kRows; ++row) {
    sums[row][0] = sums[row][1] = _mm512_setzero_ps();
  }
  multiply_add<Bf16, kRows>(tile, sums);
#pragma GCC unroll 12
  for (size_t row = 0; row < kRows; ++row) {
    _mm512_storeu_ps(out + row * stride, sums[row][0]);
    _mm512_storeu_ps(out + row * stride + 16, sums[row][1]);
  }
}

}  // namespace

extern "C" {

// `out` is [rows][stride] pairs, of which the first 16 are written.
void ec2train_bf16_to_pairs(const Tile* tile, const Epilogue* epilogue, uint32_t* out,
                            size_t stride) {
  FOR_ROWS(tile->num_rows, to_pairs, *tile, *epilogue, out, stride)
}

// Rounds 2 * `num_pairs` numbers to the nearest, halves to even.
void ec2train_bf16_round(const float* values, uint32_t* out, size_t num_pairs) {
  for (size_t pair = 0; pair < num_pairs; pair += 8) {
    const size_t len = num_pairs - pair < 8 ? num_pairs - pair : 8;
    const __m512 numbers =
        _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << 2 * len) - 1), values + 2 * pair);
    _mm256_mask_storeu_epi32(out + pair, static_cast<__mmask8>((1u << len) - 1),
                             (__m256i)_mm512_cvtneps_pbh(numbers));
  }
}

// `out` is [rows][stride] f32, of which the first 32 are written.
void ec2train_bf16_to_sums(const Tile* tile, float* out, size_t stride) {
  FOR_ROWS(tile->num_rows, to_sums, *tile, out, stride)
}

}  // extern "C"

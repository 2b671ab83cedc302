// Products of bf16 numbers with sums in f32, for CPUs with AVX512_BF16; src/kernels/bf16/tile.rs
// declares them. The one file that is compiled for such CPUs: see build.rs.
//
// Two neighbouring channels are a pair: the lower half of 32 bits is the first of them.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

// A tile of the product: up to 12 rows by 32 outputs; the same struct is in tile.rs.
struct Tile {
  // Where each segment of each row begins: [segments][rows].
  const uint32_t* const* rows;
  size_t num_rows;
  size_t num_segments;
  // Pairs.
  size_t segment_len;
  // [segments * segment_len][32] pairs.
  const uint32_t* weights;
};

// What a sum begins with, and how it ends; the same struct is in tile.rs.
struct Epilogue {
  // [32], or null.
  const float* bias;
  bool add;
  bool relu;
};

// Makes GCC keep `value` in a register as it is. Left to itself it adds the index up twice, or takes
// rows and offsets apart again, and parks what then has no register left in vector registers: moves
// from there cost the pipes that multiply.
template <typename T>
inline void keep(T& value) {
  __asm__("" : "+r"(value));
}

// How far ahead weights are fetched, in bytes: the CPU foresees them by itself, but not beyond a page.
constexpr size_t kAhead = 2048;

template <size_t kRows>
inline void multiply_add(const Tile& tile, __m512 (&sums)[kRows][2]) {
  const uint32_t* weights = tile.weights;
  const auto len = static_cast<ptrdiff_t>(tile.segment_len);
  for (size_t segment = 0; segment < tile.num_segments; ++segment) {
    // Rows are found from their ends, by one index that counts up to zero: 14 of the 15 registers
    // that there are.
    const uint32_t* ends[kRows];
#pragma GCC unroll 12
    for (size_t row = 0; row < kRows; ++row) {
      ends[row] = tile.rows[segment * kRows + row] + len;
      keep(ends[row]);
    }
    for (ptrdiff_t pair = -len; pair != 0; ++pair, weights += 32) {
      keep(pair);
      _mm_prefetch(reinterpret_cast<const char*>(weights) + kAhead, _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(weights) + kAhead + 64, _MM_HINT_T0);
      const auto first = (__m512bh)_mm512_loadu_si512(weights);
      const auto second = (__m512bh)_mm512_loadu_si512(weights + 16);
#pragma GCC unroll 12
      for (size_t row = 0; row < kRows; ++row) {
        const auto value = (__m512bh)_mm512_set1_epi32(static_cast<int>(ends[row][pair]));
        sums[row][0] = _mm512_dpbf16_ps(sums[row][0], value, first);
        sums[row][1] = _mm512_dpbf16_ps(sums[row][1], value, second);
      }
    }
  }
}

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
  multiply_add<kRows>(tile, sums);
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
  multiply_add<kRows>(tile, sums);
#pragma GCC unroll 12
  for (size_t row = 0; row < kRows; ++row) {
    _mm512_storeu_ps(out + row * stride, sums[row][0]);
    _mm512_storeu_ps(out + row * stride + 16, sums[row][1]);
  }
}

// Calls `function<num_rows>(arguments...)`.
#define CASE(rows, function, ...) \
  case rows:                      \
    return function<rows>(__VA_ARGS__);
#define FOR_ROWS(num_rows, ...)                                                      \
  switch (num_rows) {                                                                \
    CASE(1, __VA_ARGS__) CASE(2, __VA_ARGS__) CASE(3, __VA_ARGS__)                   \
    CASE(4, __VA_ARGS__) CASE(5, __VA_ARGS__) CASE(6, __VA_ARGS__)                   \
    CASE(7, __VA_ARGS__) CASE(8, __VA_ARGS__) CASE(9, __VA_ARGS__)                   \
    CASE(10, __VA_ARGS__) CASE(11, __VA_ARGS__) CASE(12, __VA_ARGS__)                \
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

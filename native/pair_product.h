// Tiles of a product of 16-bit numbers by AVX-512: up to 12 rows by 32 outputs are kept in registers while
// their depth is run through. What multiplies is a parameter.
//
// Two neighbouring channels are a pair: the lower half of 32 bits is the first of them.

#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

// Rows and a panel of weights; the same struct is in src/kernels/pairs/tile.rs.
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

// Makes GCC keep `value` in a register as it is. Left to itself it adds the index up twice, or takes
// rows and offsets apart again, and parks what then has no register left in vector registers: moves
// from there cost the pipes that multiply.
template <typename T>
inline void keep(T& value) {
  __asm__("" : "+r"(value));
}

// How far ahead weights are fetched, in bytes: the CPU foresees them by itself, but not beyond a page.
constexpr size_t kAhead = 2048;

// Adds the product to `sums`. `Unit::Sum` are 16 sums, to which `Unit::multiply_add` adds the products of 16
// pairs and 16 pairs.
template <typename Unit, size_t kRows>
inline void multiply_add(const Tile& tile, typename Unit::Sum (&sums)[kRows][2]) {
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
      const __m512i first = _mm512_loadu_si512(weights);
      const __m512i second = _mm512_loadu_si512(weights + 16);
#pragma GCC unroll 12
      for (size_t row = 0; row < kRows; ++row) {
        const __m512i value = _mm512_set1_epi32(static_cast<int>(ends[row][pair]));
        sums[row][0] = Unit::multiply_add(sums[row][0], value, first);
        sums[row][1] = Unit::multiply_add(sums[row][1], value, second);
      }
    }
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

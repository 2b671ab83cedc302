// Products of 16-bit integers with exact sums, for CPUs with AVX512_VNNI; src/kernels/int16/products.rs
// declares them.

#include "pair_product.h"

namespace {

struct Int16 {
  using Sum = __m512i;

  static Sum multiply_add(Sum sum, __m512i first, __m512i second) {
    // GCC 12 copies the sums around its own function for it, which takes twice as long.
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(first), "v"(second));
    return sum;
  }
};

// What a sum is multiplied with, and how it ends; the same struct is in products.rs.
struct Epilogue {
  // [rows]
  const float* row_scales;
  // [32]
  const float* scales;
  // [32], or null.
  const float* bias;
  bool add;
  bool relu;
};

// Writes f32.
template <size_t kRows>
void to_f32(const Tile& tile, const Epilogue& epilogue, float* out, size_t stride) {
  __m512i sums[kRows][2];
#pragma GCC unroll 12
  for (size_t row = 0; row < kRows; ++row) {
    sums[row][0] = sums[row][1] = _mm512_setzero_si512();
  }
  multiply_add<Int16, kRows>(tile, sums);
  const __m512 zero = _mm512_setzero_ps();
#pragma GCC unroll 2
  for (size_t half = 0; half < 2; ++half) {
    const __m512 scales = _mm512_loadu_ps(epilogue.scales + 16 * half);
    const __m512 bias = epilogue.bias ? _mm512_loadu_ps(epilogue.bias + 16 * half) : zero;
#pragma GCC unroll 12
    for (size_t row = 0; row < kRows; ++row) {
      float* place = out + row * stride + 16 * half;
      const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(epilogue.row_scales[row]));
      __m512 value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[row][half]), scale, bias);
      if (epilogue.add) {
        value = _mm512_add_ps(value, _mm512_loadu_ps(place));
      }
      if (epilogue.relu) {
        value = _mm512_max_ps(value, zero);
      }
      _mm512_storeu_ps(place, value);
    }
  }
}

// The first `len` of 16 numbers; the others are zeros.
inline __m512 load(const float* values, size_t len) {
  return len < 16 ? _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << len) - 1), values)
                  : _mm512_loadu_ps(values);
}

}  // namespace

extern "C" {

// `out` is [rows][stride] f32, of which the first 32 are written.
void ec2train_int16_to_f32(const Tile* tile, const Epilogue* epilogue, float* out, size_t stride) {
  FOR_ROWS(tile->num_rows, to_f32, *tile, *epilogue, out, stride)
}

// Rounds a row, whose `num_segments` begin at `segments`, to integers that have the norm `norm`, and returns
// what these are to be multiplied with. `out` is [segments][segment_len] numbers; a zero is beside the last one
// of an odd segment.
float ec2train_int16_round(const float* const* segments, size_t num_segments, size_t segment_len,
                           float norm, int16_t* out) {
  __m512 squares[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                       _mm512_setzero_ps()};
  for (size_t segment = 0; segment < num_segments; ++segment) {
    const float* values = segments[segment];
    size_t place = 0;
    for (; place + 64 <= segment_len; place += 64) {
#pragma GCC unroll 4
      for (size_t vector = 0; vector < 4; ++vector) {
        const __m512 value = _mm512_loadu_ps(values + place + 16 * vector);
        squares[vector] = _mm512_fmadd_ps(value, value, squares[vector]);
      }
    }
    for (; place < segment_len; place += 16) {
      const __m512 value = load(values + place, segment_len - place);
      squares[0] = _mm512_fmadd_ps(value, value, squares[0]);
    }
  }
  const __m512 sums = _mm512_add_ps(_mm512_add_ps(squares[0], squares[1]),
                                    _mm512_add_ps(squares[2], squares[3]));
  const float length = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(_mm512_reduce_add_ps(sums))));
  // A row of zeros, or of numbers whose squares are, becomes zeros.
  const float scale = length > 0 ? norm / length : 0;
  const __m512 factor = _mm512_set1_ps(scale);
  const size_t even_len = segment_len + segment_len % 2;
  for (size_t segment = 0; segment < num_segments; ++segment, out += even_len) {
    const float* values = segments[segment];
    size_t place = 0;
    for (; place + 16 <= segment_len; place += 16) {
      const __m512 value = _mm512_mul_ps(_mm512_loadu_ps(values + place), factor);
      const __m256i numbers = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(value));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + place), numbers);
    }
    if (place < segment_len) {
      const __m512 value = _mm512_mul_ps(load(values + place, segment_len - place), factor);
      const __m256i numbers = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(value));
      const auto mask = static_cast<__mmask16>((1u << (even_len - place)) - 1);
      _mm256_mask_storeu_epi16(out + place, mask, numbers);
    }
  }
  return length / norm;
}

}  // extern "C"

// Products of bf16 numbers by the CPU's tiles. Compiled for CPUs with AMX: see build.rs.

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amx_product.h"
#include "amx_split.h"

namespace {

// A row of a tile is a cache line.
constexpr uint16_t kRowBytes = 64;

// What LDTILECFG takes.
struct alignas(64) Config {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t num_rows[16] = {};
};

// The tiles of this thread while it lives: 0 to 3 hold sums, 4 and 5 rows, 6 and 7 weights.
class Tiles {
 public:
  explicit Tiles(size_t num_rows) {
    Config config;
    for (size_t tile = 0; tile < 8; ++tile) {
      config.row_bytes[tile] = kRowBytes;
      config.num_rows[tile] = static_cast<uint8_t>(tile < 6 ? num_rows : kPairs);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
  }
  Tiles(const Tiles&) = delete;
  ~Tiles() { __asm__ volatile("tilerelease"); }

  template <int kTile>
  static void clear() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }

  // Rows of 16 sums or pairs, of which `stride` lie between the beginnings of two.
  template <int kTile>
  static void load(const void* first, size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,4), %%tmm%c2"
                     :
                     : "r"(first), "r"(stride), "i"(kTile)
                     : "memory");
  }

  template <int kTile>
  static void store(float* values, size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,4)"
                     :
                     : "r"(values), "r"(stride), "i"(kTile)
                     : "memory");
  }

  template <int kSums, int kLeft, int kRight>
  static void multiply_add() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0"
                     :
                     : "i"(kSums), "i"(kLeft), "i"(kRight));
  }

  // Writes [32] sums as pairs.
  template <bool kRelu>
  static void finish(const float* sums, uint32_t* out) {
    auto pairs = (__m512i)_mm512_cvtne2ps_pbh(_mm512_load_ps(sums + 16), _mm512_load_ps(sums));
    if (kRelu) {
      // Numbers with a sign are negative as integers too.
      pairs = _mm512_max_epi16(pairs, _mm512_setzero_si512());
    }
    _mm512_storeu_si512(out, pairs);
  }

  // Splits up to 16 numbers each of two rows, of which null ones are zero, into pairs of both.
  static void split_rows(const float* first_row, const float* second_row, size_t len,
                         uint32_t* high, uint32_t* low) {
    const auto there = static_cast<__mmask16>((1u << len) - 1);
    const __m512 first = _mm512_maskz_loadu_ps(first_row ? there : 0, first_row);
    const __m512 second = _mm512_maskz_loadu_ps(second_row ? there : 0, second_row);
    const __m512i nearest = interleave(round(first, second));
    _mm512_store_si512(high, nearest);
    _mm512_store_si512(low, interleave(round_rest(first, second, nearest)));
  }

  // Writes the numbers of [16] pairs each of two rows as [32] pairs of both.
  static void pair(const uint32_t* first_row, const uint32_t* second_row, uint32_t* out,
                   uint32_t* out_of_last) {
    const __m512i first = _mm512_loadu_si512(first_row);
    const __m512i second = _mm512_loadu_si512(second_row);
    // A number of the first row and that of the second, from the last on.
    const __m512i places = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                                            39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i places_of_last = _mm512_add_epi16(places, _mm512_set1_epi16(16));
    _mm512_store_si512(out, _mm512_permutex2var_epi16(first, places, second));
    _mm512_store_si512(out_of_last, _mm512_permutex2var_epi16(first, places_of_last, second));
  }

  // Writes the columns of [16][16] numbers as rows, the first `num_numbers` of the first `num_rows`. They may
  // take the place of what is read.
  static void transpose(const uint32_t* from, uint32_t* to, size_t stride, size_t num_rows,
                        size_t num_numbers) {
    __m512i a[16];
    __m512i b[16];
#pragma GCC unroll 16
    for (size_t row = 0; row < 16; ++row) {
      a[row] = _mm512_loadu_si512(from + row * 16);
    }
#pragma GCC unroll 8
    for (size_t row = 0; row < 16; row += 2) {
      b[row] = _mm512_unpacklo_epi32(a[row], a[row + 1]);
      b[row + 1] = _mm512_unpackhi_epi32(a[row], a[row + 1]);
    }
    // Of four rows each: numbers 0, 1, 2 and 3 of every four.
#pragma GCC unroll 4
    for (size_t row = 0; row < 16; row += 4) {
      a[row] = _mm512_unpacklo_epi64(b[row], b[row + 2]);
      a[row + 1] = _mm512_unpackhi_epi64(b[row], b[row + 2]);
      a[row + 2] = _mm512_unpacklo_epi64(b[row + 1], b[row + 3]);
      a[row + 3] = _mm512_unpackhi_epi64(b[row + 1], b[row + 3]);
    }
#pragma GCC unroll 4
    for (size_t row = 0; row < 4; ++row) {
      const __m512i upper_even = _mm512_shuffle_i32x4(a[row], a[row + 4], 0x88);
      const __m512i upper_odd = _mm512_shuffle_i32x4(a[row], a[row + 4], 0xdd);
      const __m512i lower_even = _mm512_shuffle_i32x4(a[row + 8], a[row + 12], 0x88);
      const __m512i lower_odd = _mm512_shuffle_i32x4(a[row + 8], a[row + 12], 0xdd);
      b[row] = _mm512_shuffle_i32x4(upper_even, lower_even, 0x88);
      b[row + 4] = _mm512_shuffle_i32x4(upper_odd, lower_odd, 0x88);
      b[row + 8] = _mm512_shuffle_i32x4(upper_even, lower_even, 0xdd);
      b[row + 12] = _mm512_shuffle_i32x4(upper_odd, lower_odd, 0xdd);
    }
    const auto there = static_cast<__mmask16>((1u << num_numbers) - 1);
#pragma GCC unroll 16
    for (size_t row = 0; row < 16; ++row) {
      if (row < num_rows) {
        _mm512_mask_storeu_epi32(to + row * stride, there, b[row]);
      }
    }
  }

 private:
  // [32] bf16.
  static __m512i round(__m512 first, __m512 second) {
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
  }

  // Pairs of the first 16 bf16 and the last.
  static __m512i interleave(__m512i numbers) {
    // A number and 16 more, from the last on.
    const __m512i places = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                            23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(places, numbers);
  }

  // What both differ from the pairs of what they were rounded to, rounded.
  static __m512i round_rest(__m512 first, __m512 second, __m512i pairs) {
    const __m512i high_half = _mm512_set1_epi32(static_cast<int>(0xffff0000));
    const __m512 first_rounded = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    const __m512 second_rounded = _mm512_castsi512_ps(_mm512_and_si512(pairs, high_half));
    return round(_mm512_sub_ps(first, first_rounded), _mm512_sub_ps(second, second_rounded));
  }
};

// As in the kernel's <asm/prctl.h> and <asm/fpu/types.h>.
constexpr int kRequestPermission = 0x1023;
constexpr int kTileData = 18;

}  // namespace

extern "C" {

// Whether the kernel lets this process use tiles, which it does not without being asked.
bool ec2train_amx_request() { return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0; }

void ec2train_amx_multiply(const Product* product) { multiply<Tiles>(*product); }

// See amx_split.h.
void ec2train_amx_multiply_split(const SplitProduct* product, bool split_is_left) {
  multiply_split<Tiles>(*product, split_is_left);
}

void ec2train_amx_pair_rows(const PairRows* rows, uint32_t* out) { pair_rows<Tiles>(*rows, out); }

void ec2train_amx_split_columns(const Matrix* matrix, bool transposed, uint32_t* out,
                                size_t out_stride) {
  const auto split = transposed ? split_columns<Tiles, true> : split_columns<Tiles, false>;
  split(*matrix, out, out_stride);
}

void ec2train_amx_transpose(const uint32_t* from, uint32_t* to, size_t stride, size_t num_rows,
                            size_t num_numbers) {
  Tiles::transpose(from, to, stride, num_rows, num_numbers);
}

}  // extern "C"

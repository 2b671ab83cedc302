// Products of bf16 numbers by tiles that plain instructions imitate, for tests on any CPU.

#include <cstring>

#include "amx_product.h"
#include "amx_split.h"

namespace {

float to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

uint32_t to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// To the nearest bf16, halves to even. No sum here is NaN.
uint32_t round(float value) {
  const uint32_t bits = to_bits(value);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

class Imitation {
 public:
  explicit Imitation(size_t num_rows) { num_rows_ = num_rows; }

  template <int kTile>
  static void clear() {
    std::memset(tiles_[kTile], 0, sizeof tiles_[kTile]);
  }

  template <int kTile>
  static void load(const void* first, size_t stride) {
    const auto* values = static_cast<const uint32_t*>(first);
    for (size_t row = 0; row < rows_of(kTile); ++row) {
      std::memcpy(tiles_[kTile][row], values + row * stride, sizeof tiles_[kTile][row]);
    }
  }

  template <int kTile>
  static void store(float* values, size_t stride) {
    for (size_t row = 0; row < rows_of(kTile); ++row) {
      std::memcpy(values + row * stride, tiles_[kTile][row], sizeof tiles_[kTile][row]);
    }
  }

  // Adds up as TDPBF16PS does: the first channels of all pairs, the second ones, then both to the sum.
  template <int kSums, int kLeft, int kRight>
  static void multiply_add() {
    for (size_t row = 0; row < num_rows_; ++row) {
      float first[kPairs] = {};
      float second[kPairs] = {};
      for (size_t pair = 0; pair < kPairs; ++pair) {
        const uint32_t left = tiles_[kLeft][row][pair];
        for (size_t output = 0; output < kPairs; ++output) {
          const uint32_t right = tiles_[kRight][pair][output];
          first[output] += to_float(left << 16) * to_float(right << 16);
          second[output] += to_float(left & 0xffff0000) * to_float(right & 0xffff0000);
        }
      }
      for (size_t output = 0; output < kPairs; ++output) {
        const float sum = to_float(tiles_[kSums][row][output]);
        tiles_[kSums][row][output] = to_bits(sum + (first[output] + second[output]));
      }
    }
  }

  template <bool kRelu>
  static void finish(const float* sums, uint32_t* out) {
    for (size_t pair = 0; pair < kOutputs / 2; ++pair) {
      out[pair] = finished<kRelu>(sums[2 * pair]) | finished<kRelu>(sums[2 * pair + 1]) << 16;
    }
  }

  static void split_rows(const float* first_row, const float* second_row, size_t len,
                         uint32_t* high, uint32_t* low) {
    for (size_t pair = 0; pair < kPairs; ++pair) {
      const float first = first_row && pair < len ? first_row[pair] : 0;
      const float second = second_row && pair < len ? second_row[pair] : 0;
      split(first, second, high[pair], low[pair]);
    }
  }

  static void pair(const uint32_t* first_row, const uint32_t* second_row, uint32_t* out,
                   uint32_t* out_of_last) {
    for (size_t place = 0; place < kPairs; ++place) {
      const uint32_t first = first_row[place];
      const uint32_t second = second_row[place];
      uint32_t* const pairs = (place < kPairs / 2 ? out : out_of_last) + 2 * place % kPairs;
      pairs[0] = (first & 0xffff) | second << 16;
      pairs[1] = first >> 16 | (second & 0xffff0000);
    }
  }

  static void transpose(const uint32_t* from, uint32_t* to, size_t stride, size_t num_rows,
                        size_t num_numbers) {
    uint32_t copy[kRows][kPairs];
    std::memcpy(copy, from, sizeof copy);
    for (size_t row = 0; row < num_rows; ++row) {
      for (size_t number = 0; number < num_numbers; ++number) {
        to[row * stride + number] = copy[number][row];
      }
    }
  }

 private:
  template <bool kRelu>
  static uint32_t finished(float sum) {
    return round(kRelu && sum < 0 ? 0 : sum);
  }

  static void split(float first, float second, uint32_t& high, uint32_t& low) {
    const uint32_t rounded[2] = {round(first), round(second)};
    high = rounded[0] | rounded[1] << 16;
    low = round(first - to_float(rounded[0] << 16)) |
          round(second - to_float(rounded[1] << 16)) << 16;
  }

  static size_t rows_of(int tile) { return tile < 6 ? num_rows_ : kPairs; }

  static thread_local uint32_t tiles_[8][kRows][kPairs];
  static thread_local size_t num_rows_;
};

thread_local uint32_t Imitation::tiles_[8][kRows][kPairs];
thread_local size_t Imitation::num_rows_;

}  // namespace

extern "C" {

void ec2train_amx_multiply_emulated(const Product* product) { multiply<Imitation>(*product); }

void ec2train_amx_multiply_split_emulated(const SplitProduct* product, bool split_is_left) {
  multiply_split<Imitation>(*product, split_is_left);
}

void ec2train_amx_pair_rows_emulated(const PairRows* rows, uint32_t* out) {
  pair_rows<Imitation>(*rows, out);
}

void ec2train_amx_split_columns_emulated(const Matrix* matrix, bool transposed, uint32_t* out,
                                         size_t out_stride) {
  const auto split = transposed ? split_columns<Imitation, true> : split_columns<Imitation, false>;
  split(*matrix, out, out_stride);
}

void ec2train_amx_transpose_emulated(const uint32_t* from, uint32_t* to, size_t stride,
                                     size_t num_rows, size_t num_numbers) {
  Imitation::transpose(from, to, stride, num_rows, num_numbers);
}

}  // extern "C"

// Products of f32 numbers by tiles of bf16 numbers, whatever multiplies these. Each number is split into two
// bf16, the high one, which is the nearest to it, and the low one, nearest to the rest. Of their products that of
// two low ones is left out. src/kernels/amx/split.rs declares the struct again.
//
// A split tile is a tile of high numbers, [16][16] pairs, and one of low ones behind it.

#pragma once

#include <utility>

#include "amx_product.h"

namespace {

// Pairs of a tile.
constexpr size_t kTilePairs = kRows * kPairs;

struct SplitProduct {
  // [num_left][left_stride] pairs, of which the first num_steps split tiles are multiplied.
  const uint32_t* left;
  size_t left_stride;
  size_t num_left;
  // [num_right][right_stride] pairs, likewise.
  const uint32_t* right;
  size_t right_stride;
  size_t num_right;
  size_t num_steps;
  // The product of each left and each right one is added to [16] rows of 16 numbers here.
  float* sums;
  // From the sums of a left one, of a right one and of a row to the next.
  size_t sums_left_stride;
  size_t sums_right_stride;
  size_t sums_row_stride;
  // Memory that is brought into the cache meanwhile.
  const char* ahead;
  size_t ahead_bytes;
};

// Asks for what lies ahead, a little with each product of two tiles: many lines at once keep the tiles from being
// loaded.
class Ahead {
 public:
  explicit Ahead(const SplitProduct& product) : next_(product.ahead) {
    const size_t num_products = 3 * product.num_left * product.num_right * product.num_steps;
    const size_t num_steps = kLinesPerProduct * num_products;
    stride_ = num_steps == 0 ? 0 : (product.ahead_bytes + num_steps - 1) / num_steps;
  }

  void step() {
    for (size_t line = 0; line < kLinesPerProduct; ++line) {
      __builtin_prefetch(next_, 0, 2);
      next_ += stride_;
    }
  }

 private:
  static constexpr size_t kLinesPerProduct = 2;

  const char* next_;
  size_t stride_;
};

template <class Unit, int kTile>
inline void load_tile(const uint32_t* tile) {
  Unit::template load<kTile>(tile, kPairs);
}

// The product of two tiles.
template <class Unit, int kSums, int kLeft, int kRight>
inline void multiply_add(Ahead& ahead) {
  Unit::template multiply_add<kSums, kLeft, kRight>();
  ahead.step();
}

// Where the tiles of one block of sums are.
struct Block {
  const uint32_t* left;
  size_t left_stride;
  const uint32_t* right;
  size_t right_stride;
  float* sums;
  size_t sums_left_stride;
  size_t sums_right_stride;
  size_t sums_row_stride;
};

// Calls `f` with each of the numbers below kEnd.
template <int kEnd, class F>
inline void for_each(F f) {
  [&]<int... kNumbers>(std::integer_sequence<int, kNumbers...>) {
    (f.template operator()<kNumbers>(), ...);
  }(std::make_integer_sequence<int, kEnd>());
}

// One step of kLeft times kRight sums, which are in tiles 0 to 3. Of each the products of a low and a high one
// come first, then of two high ones, then of a high and a low one.
template <class Unit, int kLeft, int kRight>
inline void multiply_step(const Block& block, size_t place, Ahead& ahead) {
  const auto left = [&](size_t index) { return block.left + index * block.left_stride + place; };
  const auto right = [&](size_t index) { return block.right + index * block.right_stride + place; };
  if constexpr (kLeft == 2 && kRight == 2) {
    load_tile<Unit, 4>(left(0) + kTilePairs);
    load_tile<Unit, 6>(right(0));
    multiply_add<Unit, 0, 4, 6>(ahead);
    load_tile<Unit, 7>(right(1));
    multiply_add<Unit, 1, 4, 7>(ahead);
    load_tile<Unit, 5>(left(1) + kTilePairs);
    multiply_add<Unit, 2, 5, 6>(ahead);
    multiply_add<Unit, 3, 5, 7>(ahead);
    load_tile<Unit, 4>(left(0));
    multiply_add<Unit, 0, 4, 6>(ahead);
    multiply_add<Unit, 1, 4, 7>(ahead);
    load_tile<Unit, 5>(left(1));
    multiply_add<Unit, 2, 5, 6>(ahead);
    multiply_add<Unit, 3, 5, 7>(ahead);
    load_tile<Unit, 6>(right(0) + kTilePairs);
    multiply_add<Unit, 0, 4, 6>(ahead);
    multiply_add<Unit, 2, 5, 6>(ahead);
    load_tile<Unit, 7>(right(1) + kTilePairs);
    multiply_add<Unit, 1, 4, 7>(ahead);
    multiply_add<Unit, 3, 5, 7>(ahead);
  } else if constexpr (kRight == 1) {
    load_tile<Unit, 6>(right(0));
    load_tile<Unit, 7>(right(0) + kTilePairs);
    for_each<kLeft>([&]<int kSums>() {
      constexpr int kTile = 4 + kSums % 2;
      load_tile<Unit, kTile>(left(kSums) + kTilePairs);
      multiply_add<Unit, kSums, kTile, 6>(ahead);
    });
    for_each<kLeft>([&]<int kSums>() {
      constexpr int kTile = 4 + kSums % 2;
      load_tile<Unit, kTile>(left(kSums));
      multiply_add<Unit, kSums, kTile, 6>(ahead);
      multiply_add<Unit, kSums, kTile, 7>(ahead);
    });
  } else {
    static_assert(kLeft == 1);
    load_tile<Unit, 4>(left(0) + kTilePairs);
    load_tile<Unit, 5>(left(0));
    for_each<kRight>([&]<int kSums>() {
      constexpr int kTile = 6 + kSums % 2;
      load_tile<Unit, kTile>(right(kSums));
      multiply_add<Unit, kSums, 4, kTile>(ahead);
      multiply_add<Unit, kSums, 5, kTile>(ahead);
    });
    for_each<kRight>([&]<int kSums>() {
      constexpr int kTile = 6 + kSums % 2;
      load_tile<Unit, kTile>(right(kSums) + kTilePairs);
      multiply_add<Unit, kSums, 5, kTile>(ahead);
    });
  }
}

// The products of kLeft left tiles and kRight right ones, at most four.
template <class Unit, int kLeft, int kRight>
inline void multiply_block(const SplitProduct& product, size_t left, size_t right, Ahead& ahead) {
  const Block block = {product.left + left * product.left_stride,
                       product.left_stride,
                       product.right + right * product.right_stride,
                       product.right_stride,
                       product.sums + left * product.sums_left_stride +
                           right * product.sums_right_stride,
                       product.sums_left_stride,
                       product.sums_right_stride,
                       product.sums_row_stride};
  const auto sums = [&](int index) {
    return block.sums + index / kRight * block.sums_left_stride +
           index % kRight * block.sums_right_stride;
  };
  for_each<kLeft * kRight>(
      [&]<int kSums>() { Unit::template load<kSums>(sums(kSums), block.sums_row_stride); });
  for (size_t step = 0; step < product.num_steps; ++step) {
    multiply_step<Unit, kLeft, kRight>(block, step * 2 * kTilePairs, ahead);
  }
  for_each<kLeft * kRight>(
      [&]<int kSums>() { Unit::template store<kSums>(sums(kSums), block.sums_row_stride); });
}

template <class Unit>
void multiply_split(const SplitProduct& product) {
  const Unit unit(kRows);
  Ahead ahead(product);
  const size_t left_end = product.num_left / 2 * 2;
  const size_t right_end = product.num_right / 2 * 2;
  for (size_t left = 0; left < left_end; left += 2) {
    for (size_t right = 0; right < right_end; right += 2) {
      multiply_block<Unit, 2, 2>(product, left, right, ahead);
    }
  }
  if (right_end < product.num_right) {
    size_t left = 0;
    for (; left + 4 <= left_end; left += 4) {
      multiply_block<Unit, 4, 1>(product, left, right_end, ahead);
    }
    if (left < left_end) {
      multiply_block<Unit, 2, 1>(product, left, right_end, ahead);
    }
  }
  if (left_end < product.num_left) {
    size_t right = 0;
    for (; right + 4 <= product.num_right; right += 4) {
      multiply_block<Unit, 1, 4>(product, left_end, right, ahead);
    }
    switch (product.num_right - right) {
      case 3:
        return multiply_block<Unit, 1, 3>(product, left_end, right, ahead);
      case 2:
        return multiply_block<Unit, 1, 2>(product, left_end, right, ahead);
      case 1:
        return multiply_block<Unit, 1, 1>(product, left_end, right, ahead);
    }
  }
}

// A matrix that is split, [num_rows][stride] f32, of which the first num_columns are.
struct Matrix {
  const float* values;
  size_t num_rows;
  size_t num_columns;
  size_t stride;
};

inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Splits rows into left tiles: [rows / 16][columns / 32] split tiles, filled up with zeros.
template <class Unit>
void split_rows(const Matrix& matrix, uint32_t* out) {
  const size_t num_steps = (matrix.num_columns + 2 * kPairs - 1) / (2 * kPairs);
  const size_t num_tiles = (matrix.num_rows + kRows - 1) / kRows;
  for (size_t row = 0; row < num_tiles * kRows; ++row) {
    uint32_t* tile = out + row / kRows * num_steps * 2 * kTilePairs + row % kRows * kPairs;
    const float* values = matrix.values + row * matrix.stride;
    for (size_t column = 0; column < matrix.num_columns; column += 2 * kPairs) {
      const size_t left = row < matrix.num_rows ? matrix.num_columns - column : 0;
      Unit::split_row(values + column, smaller(left, 2 * kPairs), tile, tile + kTilePairs);
      tile += 2 * kTilePairs;
    }
  }
}

// Splits columns into right tiles: [columns / 16][out_stride] pairs, of which the first are [rows / 32] split
// tiles; or into the left tiles of the transposed matrix.
template <class Unit, bool kTransposed>
void split_columns(const Matrix& matrix, uint32_t* out, size_t out_stride) {
  constexpr size_t kColumns = 16;
  const size_t num_steps = (matrix.num_rows + 2 * kPairs - 1) / (2 * kPairs);
  for (size_t step = 0; step < num_steps; ++step) {
    for (size_t column = 0; column < matrix.num_columns; column += kColumns) {
      const size_t num_columns = smaller(matrix.num_columns - column, kColumns);
      uint32_t* const tile = out + column / kColumns * out_stride + step * 2 * kTilePairs;
      for (size_t pair = 0; pair < kPairs; ++pair) {
        const size_t row = 2 * (step * kPairs + pair);
        const float* const values = matrix.values + row * matrix.stride + column;
        Unit::split_rows(row < matrix.num_rows ? values : nullptr,
                         row + 1 < matrix.num_rows ? values + matrix.stride : nullptr, num_columns,
                         tile + pair * kPairs, tile + kTilePairs + pair * kPairs);
      }
      if (kTransposed) {
        Unit::transpose(tile, tile, kPairs, kRows, kPairs);
        Unit::transpose(tile + kTilePairs, tile + kTilePairs, kPairs, kRows, kPairs);
      }
    }
  }
}

}  // namespace

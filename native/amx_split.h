// Products of bf16 numbers with f32 numbers by tiles of bf16 numbers, whatever multiplies these. Each f32 is split
// into two bf16, the high one, which is the nearest to it, and the low one, nearest to the rest.
// src/kernels/amx/split.rs declares the structs again.
//
// A split tile is a tile of high numbers, [16][16] pairs, and one of low ones behind it.

#pragma once

#include <utility>

#include "amx_product.h"

namespace {

// Pairs of a tile.
constexpr size_t kTilePairs = kRows * kPairs;

// The matrix of bf16 numbers, as tiles of 16 rows of 16 pairs.
struct PlainTiles {
  const uint32_t* pairs;
  size_t num_tiles;
  // Of a tile, those that are multiplied.
  size_t num_steps;
  // From a tile, from a step and from a row of a tile to the next, in pairs.
  size_t tile_stride;
  size_t step_stride;
  size_t row_stride;
};

// Memory that is brought into the cache.
struct Region {
  const char* first;
  size_t bytes;
};

struct SplitProduct {
  // [num_split][split_stride] pairs, which are split tiles.
  const uint32_t* split;
  size_t split_stride;
  size_t num_split;
  PlainTiles plain;
  // The product of each split tile and each plain one is added to [16] rows of 16 numbers here.
  float* sums;
  // From the sums of a split one, of a plain one and of a row to the next.
  size_t sums_split_stride;
  size_t sums_plain_stride;
  size_t sums_row_stride;
  // Meanwhile.
  Region ahead[2];
};

// Asks for what lies ahead, a little with each product of two tiles: many lines at once keep the tiles from being
// loaded.
class Ahead {
 public:
  Ahead(const Region& region, size_t num_products)
      : next_(region.first),
        stride_(num_products == 0 ? 0 : (region.bytes + num_products - 1) / num_products) {}

  void step() {
    for (size_t offset = 0; offset < stride_; offset += kLineBytes) {
      __builtin_prefetch(next_ + offset, 0, 2);
    }
    next_ += stride_;
  }

 private:
  static constexpr size_t kLineBytes = 64;

  const char* next_;
  size_t stride_;
};

// Calls `f` with each of the numbers below kEnd.
template <int kEnd, class F>
inline void for_each(F f) {
  [&]<int... kNumbers>(std::integer_sequence<int, kNumbers...>) {
    (f.template operator()<kNumbers>(), ...);
  }(std::make_integer_sequence<int, kEnd>());
}

// The products of one kind: of left tiles that are split with right ones that are not, or the other way round.
template <class Unit, bool kSplitIsLeft>
class SplitProducts {
 public:
  explicit SplitProducts(const SplitProduct& product)
      : product_(product),
        ahead_{{product.ahead[0], num_products(product)}, {product.ahead[1], num_products(product)}} {}

  // What is split goes round in the outer loop: two of its tiles and all of the plain ones stay in the L1 cache.
  void multiply() {
    const size_t split_end = product_.num_split / 2 * 2;
    const size_t num_plain = product_.plain.num_tiles;
    for (size_t split = 0; split < split_end; split += 2) {
      size_t plain = 0;
      for (; plain + 2 <= num_plain; plain += 2) {
        multiply_block<2, 2>(split, plain);
      }
      if (plain < num_plain) {
        multiply_block<2, 1>(split, plain);
      }
    }
    if (split_end < product_.num_split) {
      size_t plain = 0;
      for (; plain + 4 <= num_plain; plain += 4) {
        multiply_block<1, 4>(split_end, plain);
      }
      for (; plain + 2 <= num_plain; plain += 2) {
        multiply_block<1, 2>(split_end, plain);
      }
      if (plain < num_plain) {
        multiply_block<1, 1>(split_end, plain);
      }
    }
  }

 private:
  // Of the tiles of left numbers and of right ones.
  static constexpr int kFirstSplit = kSplitIsLeft ? 4 : 6;
  static constexpr int kFirstPlain = kSplitIsLeft ? 6 : 4;

  // Of two tiles each.
  static size_t num_products(const SplitProduct& product) {
    return 2 * product.num_split * product.plain.num_tiles * product.plain.num_steps;
  }

  // The products of kSplit split tiles and kPlain others, at most four.
  template <int kSplit, int kPlain>
  void multiply_block(size_t split, size_t plain) {
    float* const sums = product_.sums + split * product_.sums_split_stride +
                        plain * product_.sums_plain_stride;
    const auto sums_of = [&](int index) {
      return sums + index / kPlain * product_.sums_split_stride +
             index % kPlain * product_.sums_plain_stride;
    };
    const size_t row_stride = product_.sums_row_stride;
    for_each<kSplit * kPlain>(
        [&]<int kSums>() { Unit::template load<kSums>(sums_of(kSums), row_stride); });
    const PlainTiles& tiles = product_.plain;
    for (size_t step = 0; step < tiles.num_steps; ++step) {
      multiply_step<kSplit, kPlain>(
          product_.split + split * product_.split_stride + step * 2 * kTilePairs,
          tiles.pairs + plain * tiles.tile_stride + step * tiles.step_stride);
    }
    for_each<kSplit * kPlain>(
        [&]<int kSums>() { Unit::template store<kSums>(sums_of(kSums), row_stride); });
  }

  // One step of kSplit times kPlain sums, which are in tiles 0 to 3. Of each the product of the low numbers comes
  // first.
  template <int kSplit, int kPlain>
  void multiply_step(const uint32_t* split, const uint32_t* plain) {
    if constexpr (kPlain <= 2) {
      for_each<kPlain>([&]<int kNumber>() { load_plain<kNumber>(plain, kNumber); });
      for (size_t part = 2; part-- > 0;) {
        for_each<kSplit>([&]<int kNumber>() {
          load_split<kNumber>(split + kNumber * product_.split_stride + part * kTilePairs);
          for_each<kPlain>([&]<int kOther>() {
            multiply_add<kNumber * kPlain + kOther, kNumber, kOther>();
          });
        });
      }
    } else {
      static_assert(kSplit == 1);
      load_split<0>(split + kTilePairs);
      load_split<1>(split);
      for_each<kPlain>([&]<int kNumber>() {
        load_plain<kNumber % 2>(plain, kNumber);
        multiply_add<kNumber, 0, kNumber % 2>();
        multiply_add<kNumber, 1, kNumber % 2>();
      });
    }
  }

  template <int kNumber>
  void load_split(const uint32_t* tile) {
    Unit::template load<kFirstSplit + kNumber>(tile, kPairs);
  }

  template <int kNumber>
  void load_plain(const uint32_t* first, size_t number) {
    const PlainTiles& tiles = product_.plain;
    Unit::template load<kFirstPlain + kNumber>(first + number * tiles.tile_stride,
                                               tiles.row_stride);
  }

  // The product of two tiles.
  template <int kSums, int kSplit, int kPlain>
  void multiply_add() {
    constexpr int kSplitTile = kFirstSplit + kSplit;
    constexpr int kPlainTile = kFirstPlain + kPlain;
    if constexpr (kSplitIsLeft) {
      Unit::template multiply_add<kSums, kSplitTile, kPlainTile>();
    } else {
      Unit::template multiply_add<kSums, kPlainTile, kSplitTile>();
    }
    ahead_[0].step();
    ahead_[1].step();
  }

  const SplitProduct& product_;
  Ahead ahead_[2];
};

template <class Unit>
void multiply_split(const SplitProduct& product, bool split_is_left) {
  const Unit unit(kRows);
  if (split_is_left) {
    SplitProducts<Unit, true>(product).multiply();
  } else {
    SplitProducts<Unit, false>(product).multiply();
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

// Rows of bf16 numbers, [num_rows][stride] pairs, of which the first num_pairs are.
struct PairRows {
  const uint32_t* pairs;
  size_t num_rows;
  size_t num_pairs;
  size_t stride;
};

// Pairs the numbers of each two rows: right tiles, [pairs / 8][rows / 32]. There are whole tiles of rows, and an even
// number of tiles.
template <class Unit>
void pair_rows(const PairRows& rows, uint32_t* out) {
  const size_t num_steps = rows.num_rows / (2 * kPairs);
  const size_t stride = num_steps * kTilePairs;
  for (size_t pair = 0; pair < num_steps * kPairs; ++pair) {
    const uint32_t* const first = rows.pairs + 2 * pair * rows.stride;
    for (size_t place = 0; place < rows.num_pairs; place += kPairs) {
      uint32_t* const tile = out + place / kPairs * 2 * stride + pair * kPairs;
      Unit::pair(first + place, first + rows.stride + place, tile, tile + stride);
    }
  }
}

}  // namespace

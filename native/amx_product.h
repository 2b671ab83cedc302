// Products of bf16 numbers with sums in f32 by tiles, whatever multiplies these; src/kernels/amx/tile.rs
// declares the structs again.
//
// Two neighbouring channels are a pair: the lower half of 32 bits is the first of them.

#pragma once

#include <cstddef>
#include <cstdint>

namespace {

// Rows of a tile.
constexpr size_t kRows = 16;
// Outputs of a panel: of two tiles.
constexpr size_t kOutputs = 32;
// Pairs that are multiplied at once.
constexpr size_t kPairs = 16;

// Rows that lie equally far apart, and where what is computed of each goes.
struct TileRows {
  // Pairs from the values' beginning to the first row.
  size_t first;
  // Pairs from the ends' beginning to the first row's.
  size_t first_end;
  // Pairs from the output's beginning to each row of it; what goes kNowhere is thrown away.
  uint32_t outputs[kRows];
};
constexpr uint32_t kNowhere = UINT32_MAX;

struct Product {
  const uint32_t* values;
  // From a row's beginning to each of its segments, in pairs.
  const size_t* segments;
  size_t num_segments;
  // Of kPairs pairs each.
  size_t steps_per_segment;
  // From a row to the next, in pairs.
  size_t row_stride;
  // How rows end, behind their segments.
  const uint32_t* ends;
  // Of kPairs pairs each.
  size_t steps_per_end;
  // From a row's end to the next row's, in pairs.
  size_t end_stride;
  const TileRows* tiles;
  size_t num_tiles;
  // Tiles that are multiplied with all panels before the next.
  size_t block_len;
  // Rows of each tile, at most kRows.
  size_t tile_len;
  // [panels][(segments * steps_per_segment + steps_per_end) * kPairs][kOutputs] pairs.
  const uint32_t* weights;
  size_t num_panels;
  // What sums begin with: [panels][kOutputs], or null.
  const float* bias;
  // Whether what the output holds is added. The rows of each tile are then out_stride apart.
  bool add;
  bool relu;
  uint32_t* out;
  size_t out_stride;
};

struct alignas(64) Sums {
  float values[2 * kRows][kOutputs];
};

// Tiles whose sums are to be cut off and rounded, and their outputs of one panel.
struct Unfinished {
  const TileRows* tiles;
  uint32_t* out;
  size_t next_row;
  size_t end;
};

// Finishes up to `num_rows` rows.
template <class Unit, bool kRelu>
inline void finish(Unfinished& unfinished, const Sums& sums, size_t num_rows) {
  const TileRows* const tiles = unfinished.tiles;
  uint32_t* const out = unfinished.out;
  const size_t left = unfinished.end - unfinished.next_row;
  const size_t end = unfinished.next_row + (left < num_rows ? left : num_rows);
  for (size_t row = unfinished.next_row; row < end; ++row) {
    const size_t output = tiles[row / kRows].outputs[row % kRows];
    if (output != kNowhere) {
      Unit::template finish<kRelu>(sums.values[row], out + output);
    }
  }
  unfinished.next_row = end;
}

// Sums begin with the bias in every row, or with zeros.
template <class Unit, size_t kTiles>
inline void begin(const float* bias) {
  if (!bias) {
    Unit::template clear<0>();
    Unit::template clear<1>();
    Unit::template clear<2>();
    Unit::template clear<3>();
    return;
  }
  Unit::template load<0>(bias, 0);
  Unit::template load<1>(bias + kOutputs / 2, 0);
  if (kTiles == 2) {
    Unit::template load<2>(bias, 0);
    Unit::template load<3>(bias + kOutputs / 2, 0);
  }
}

// Adds the products of kPairs pairs of each row to the sums of one tile or two.
template <class Unit, size_t kTiles>
inline void multiply_add(const uint32_t* first, const uint32_t* second, size_t stride,
                         const uint32_t* weights) {
  Unit::template load<6>(weights, kOutputs);
  Unit::template load<4>(first, stride);
  Unit::template multiply_add<0, 4, 6>();
  Unit::template load<7>(weights + kPairs, kOutputs);
  Unit::template multiply_add<1, 4, 7>();
  if (kTiles == 2) {
    Unit::template load<5>(second, stride);
    Unit::template multiply_add<2, 5, 6>();
    Unit::template multiply_add<3, 5, 7>();
  }
}

template <class Unit, size_t kTiles>
inline void store(Sums& sums) {
  Unit::template store<0>(&sums.values[0][0], kOutputs);
  Unit::template store<1>(&sums.values[0][kOutputs / 2], kOutputs);
  if (kTiles == 2) {
    Unit::template store<2>(&sums.values[kRows][0], kOutputs);
    Unit::template store<3>(&sums.values[kRows][kOutputs / 2], kOutputs);
  }
}

// A matrix with ones on its diagonal.
struct alignas(64) Identity {
  uint32_t pairs[kPairs][kOutputs];
};
constexpr Identity kIdentity = [] {
  constexpr uint32_t kOne = 0x3f80;
  Identity identity = {};
  for (size_t pair = 0; pair < kPairs; ++pair) {
    identity.pairs[pair][2 * pair] = kOne;
    identity.pairs[pair][2 * pair + 1] = kOne << 16;
  }
  return identity;
}();

// The steps of a row.
inline size_t num_steps(const Product& product) {
  return product.num_segments * product.steps_per_segment + product.steps_per_end;
}

// What the output holds of a tile's first row.
inline const uint32_t* first_output(const TileRows& tile, const uint32_t* out, size_t out_stride) {
  size_t row = 0;
  while (tile.outputs[row] == kNowhere) {
    ++row;
  }
  return out + tile.outputs[row] - row * out_stride;
}

// Adds the products of some steps, whose weights lie one after the other. Returns where these end.
template <class Unit, size_t kTiles, bool kRelu>
inline const uint32_t* multiply_steps(const uint32_t* first, const uint32_t* second, size_t stride,
                                      size_t num_steps, const uint32_t* weights,
                                      size_t rows_per_step, const Sums& sums,
                                      Unfinished& unfinished) {
  for (size_t step = 0; step < num_steps; ++step) {
    multiply_add<Unit, kTiles>(first, second, stride, weights);
    finish<Unit, kRelu>(unfinished, sums, rows_per_step);
    first += kPairs;
    second += kPairs;
    weights += kPairs * kOutputs;
  }
  return weights;
}

// The sums of one tile of rows, or of two. Those before them are finished meanwhile, between the steps, which
// keep other parts of the CPU busy.
template <class Unit, size_t kTiles, bool kAdd, bool kRelu>
inline void multiply(const Product& product, const TileRows* tiles, const uint32_t* weights,
                     const float* bias, uint32_t* out, Sums& sums, Unfinished& unfinished) {
  const size_t* const segments_end = product.segments + product.num_segments;
  const size_t rows_per_step = 2 * kRows / num_steps(product) + 1;
  begin<Unit, kTiles>(bias);
  for (const size_t* segment = product.segments; segment != segments_end; ++segment) {
    const uint32_t* const values = product.values + *segment;
    weights = multiply_steps<Unit, kTiles, kRelu>(
        values + tiles[0].first, values + tiles[kTiles - 1].first, product.row_stride,
        product.steps_per_segment, weights, rows_per_step, sums, unfinished);
  }
  if (product.steps_per_end > 0) {
    multiply_steps<Unit, kTiles, kRelu>(
        product.ends + tiles[0].first_end, product.ends + tiles[kTiles - 1].first_end,
        product.end_stride, product.steps_per_end, weights, rows_per_step, sums, unfinished);
  }
  if (kAdd) {
    // A product with ones is quicker than to widen the numbers and to add them.
    const size_t out_stride = product.out_stride;
    multiply_add<Unit, kTiles>(first_output(tiles[0], out, out_stride),
                               first_output(tiles[kTiles - 1], out, out_stride), out_stride,
                               &kIdentity.pairs[0][0]);
  }
  store<Unit, kTiles>(sums);
  unfinished = {tiles, out, 0, kTiles * kRows};
}

// All panels of all tiles, block by block.
template <class Unit, bool kAdd, bool kRelu>
void multiply(const Product& product) {
  const Unit unit(product.tile_len);
  const size_t panel_len = num_steps(product) * kPairs * kOutputs;
  Sums sums;
  Unfinished unfinished = {};
  for (size_t block = 0; block < product.num_tiles; block += product.block_len) {
    const size_t left = product.num_tiles - block;
    const size_t end = block + (left < product.block_len ? left : product.block_len);
    for (size_t panel = 0; panel < product.num_panels; ++panel) {
      const uint32_t* weights = product.weights + panel * panel_len;
      const float* bias = product.bias ? product.bias + panel * kOutputs : nullptr;
      uint32_t* out = product.out + panel * kOutputs / 2;
      size_t tile = block;
      for (; tile + 1 < end; tile += 2) {
        multiply<Unit, 2, kAdd, kRelu>(product, product.tiles + tile, weights, bias, out, sums,
                                       unfinished);
      }
      if (tile < end) {
        multiply<Unit, 1, kAdd, kRelu>(product, product.tiles + tile, weights, bias, out, sums,
                                       unfinished);
      }
    }
  }
  finish<Unit, kRelu>(unfinished, sums, 2 * kRows);
}

template <class Unit>
void multiply(const Product& product) {
  if (product.add && product.relu) {
    multiply<Unit, true, true>(product);
  } else if (product.add) {
    multiply<Unit, true, false>(product);
  } else if (product.relu) {
    multiply<Unit, false, true>(product);
  } else {
    multiply<Unit, false, false>(product);
  }
}

}  // namespace

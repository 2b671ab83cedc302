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
  // Rows of the output; those of kNowhere are thrown away.
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
  const TileRows* tiles;
  size_t num_tiles;
  // Rows of each tile, at most kRows.
  size_t tile_len;
  // [panels][segments * steps_per_segment * kPairs][kOutputs] pairs.
  const uint32_t* weights;
  size_t num_panels;
  // [panels][kOutputs], or null.
  const float* bias;
  // Whether what the output holds is added.
  bool add;
  bool relu;
  // [rows][out_stride] pairs.
  uint32_t* out;
  size_t out_stride;
};

struct alignas(64) Sums {
  float values[2][kRows][kOutputs];
};

// The sums of one tile of rows, or of two.
template <class Unit, size_t kTiles>
inline void multiply(const Product& product, const TileRows* tiles, const uint32_t* weights,
                     Sums& sums) {
  Unit::template clear<0>();
  Unit::template clear<1>();
  if (kTiles == 2) {
    Unit::template clear<2>();
    Unit::template clear<3>();
  }
  const size_t stride = product.row_stride;
  const size_t num_steps = product.steps_per_segment;
  const size_t* const segments_end = product.segments + product.num_segments;
  for (const size_t* segment = product.segments; segment != segments_end; ++segment) {
    const uint32_t* first = product.values + *segment + tiles[0].first;
    const uint32_t* second = product.values + *segment + tiles[kTiles - 1].first;
    for (size_t step = 0; step < num_steps; ++step) {
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
      first += kPairs;
      second += kPairs;
      weights += kPairs * kOutputs;
    }
  }
  Unit::template store<0>(&sums.values[0][0][0], kOutputs);
  Unit::template store<1>(&sums.values[0][0][kOutputs / 2], kOutputs);
  if (kTiles == 2) {
    Unit::template store<2>(&sums.values[1][0][0], kOutputs);
    Unit::template store<3>(&sums.values[1][0][kOutputs / 2], kOutputs);
  }
}

// All panels of all tiles. Rows are read again for each panel, and each panel once.
template <class Unit>
inline void multiply(const Product& product) {
  const Unit unit(product.tile_len);
  const size_t panel_len =
      product.num_segments * product.steps_per_segment * kPairs * kOutputs;
  Sums sums;
  for (size_t panel = 0; panel < product.num_panels; ++panel) {
    const uint32_t* weights = product.weights + panel * panel_len;
    const typename Unit::Epilogue epilogue(product, panel);
    uint32_t* out = product.out + panel * kOutputs / 2;
    for (size_t tile = 0; tile < product.num_tiles; tile += 2) {
      const TileRows* tiles = product.tiles + tile;
      const size_t num_tiles = product.num_tiles - tile < 2 ? 1 : 2;
      if (num_tiles == 2) {
        multiply<Unit, 2>(product, tiles, weights, sums);
      } else {
        multiply<Unit, 1>(product, tiles, weights, sums);
      }
      for (size_t i = 0; i < num_tiles; ++i) {
        for (size_t row = 0; row < product.tile_len; ++row) {
          const size_t output = tiles[i].outputs[row];
          if (output != kNowhere) {
            epilogue.finish(sums.values[i][row], out + output * product.out_stride);
          }
        }
      }
    }
  }
}

}  // namespace

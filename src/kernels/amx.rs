//! bf16 with sums in f32, for CPUs with AMX.
//!
//! These multiply tiles of 16 rows by 16 outputs. A tile's rows lie equally far apart in memory, so a tile
//! takes whatever lies between the rows that are needed along, such as the padding between two lines of
//! an image, and what is computed of it is thrown away.

pub mod split;
mod tile;

use super::arithmetic::Arithmetic;
use super::bf16::Bf16;
use super::cap::{self, Level};
use super::gemm::{Contiguous, Epilogue, Rows, out_stride};
use super::isa::Isa;
use super::lines::{Lines, RowsInLines};
use super::pairs::{PackedPairs, Pair, pair};
use super::panels::OUTPUTS;
use tile::{MAX_ROWS, NOWHERE, Product, TileRows};

/// Pairs that a tile multiplies at once.
const STEP: usize = 16;
/// Weights of up to so many bytes stay in the L2 cache, 2 MiB on all CPUs with AMX: two tiles of rows are
/// multiplied with all of them before the next.
const WEIGHTS_BYTES: usize = 640 << 10;
/// Bytes of rows that are multiplied with all outputs before the next where there are more weights: they
/// stay in the L2 cache beside a panel.
const ROWS_BYTES: usize = 768 << 10;

/// AMX, which this CPU is known to have: Intel's Sapphire Rapids and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amx {
    isa: Isa,
    unit: Unit,
}

/// What multiplies tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Cpu(Bf16),
    Imitation,
}

impl Amx {
    /// `None` where the CPU or the kernel lacks it, or `ONEDNN_MAX_CPU_ISA` withholds it.
    pub fn detect() -> Option<Self> {
        let bf16 = Bf16::detect()?;
        let unit = Unit::Cpu(bf16);
        (cap::leaves(Level::Amx) && tile::request(bf16)).then(|| Amx { isa: bf16.isa(), unit })
    }

    /// The same products by plain instructions on any CPU: far slower than f32, for tests.
    pub fn imitation() -> Self {
        Amx { isa: Isa::fastest(), unit: Unit::Imitation }
    }
}

impl Arithmetic for Amx {
    type Value = Pair;
    type Weights = PackedPairs;

    fn isa(self) -> Isa {
        self.isa
    }

    fn with_capacity(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
    ) -> PackedPairs {
        PackedPairs::for_channels(num_segments, segment_len, num_outputs, STEP)
    }

    fn push_panel(self, panel: &[[f32; OUTPUTS]], weights: &mut PackedPairs) {
        weights.push_bf16(self.isa, panel);
    }

    fn round(self, values: &[f32], out: &mut [Pair]) {
        match self.unit {
            Unit::Cpu(bf16) => bf16.round(values, out),
            Unit::Imitation => {
                for (out, &[first, second]) in out.iter_mut().zip(values.as_chunks().0) {
                    *out = pair(first, second);
                }
            }
        }
    }

    fn multiply(
        self,
        rows: &impl RowsInLines<Pair>,
        weights: &PackedPairs,
        epilogue: Epilogue,
        out: &mut [Pair],
    ) {
        let stride = out_stride(rows.num_rows(), weights.num_outputs / 2, out.len());
        self.multiply_to(rows, weights, epilogue, &Spaced { stride }, out);
    }
}

impl Amx {
    /// The same, to wherever `outputs` says. What `out` holds there is added only to rows of it that are
    /// spaced evenly.
    pub fn multiply_to(
        self,
        rows: &impl RowsInLines<Pair>,
        weights: &PackedPairs,
        epilogue: Epilogue,
        outputs: &impl Outputs,
        out: &mut [Pair],
    ) {
        self.multiply_tiles(rows, Ends::NONE, weights, epilogue, outputs, out);
    }

    /// Writes the product of rows that lie in two places, the beginning of each here and its end there.
    /// The weights are those of whole rows.
    pub fn multiply_with_ends(
        self,
        rows: &Contiguous<Pair>,
        ends: Ends,
        weights: &PackedPairs,
        epilogue: Epilogue,
        out: &mut [Pair],
    ) {
        let stride = out_stride(rows.num_rows(), weights.num_outputs / 2, out.len());
        self.multiply_tiles(rows, ends, weights, epilogue, &Spaced { stride }, out);
    }

    fn multiply_tiles(
        self,
        rows: &impl RowsInLines<Pair>,
        ends: Ends,
        weights: &PackedPairs,
        epilogue: Epilogue,
        outputs: &impl Outputs,
        out: &mut [Pair],
    ) {
        let num_rows = rows.num_rows();
        if num_rows == 0 {
            return;
        }
        let lines = &rows.lines();
        let cover = Cover::new(lines, num_rows);
        let mut tiles = cover.tiles(num_rows, outputs);
        for tile in &mut tiles {
            tile.first_end = tile.first / lines.row_stride * ends.rows.row_len;
        }
        let block_len = if weights.bytes() <= WEIGHTS_BYTES {
            2
        } else {
            let span = lines.place(num_rows - 1) - lines.place(0) + lines.row_stride;
            let furthest = lines.segments.iter().max().copied().unwrap_or_default();
            let len = span + furthest + num_rows * ends.len;
            2 * (ROWS_BYTES * tiles.len() / (2 * size_of::<Pair>() * len)).max(1)
        };
        let tile_len = cover.tile_len;
        let product = Product { lines, ends, tiles: &tiles, block_len, tile_len, weights };
        product.multiply(self.unit, epilogue, outputs.stride(), out);
    }
}

/// How the rows of a product end where that lies elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// An end for each row.
    pub rows: Contiguous<'a, Pair>,
    /// Pairs of an end, a multiple of 16.
    pub len: usize,
}

impl Ends<'_> {
    const NONE: Ends<'static> = Ends { rows: Contiguous { values: &[], row_len: 0 }, len: 0 };
}

/// Where rows of a product go.
pub trait Outputs {
    /// Writes the places of rows that follow each other, `first` and so on.
    fn places(&self, first: usize, places: &mut [u32]);
    /// From a row to the next, where it is the same everywhere.
    fn stride(&self) -> Option<usize>;
}

/// One after the other.
struct Spaced {
    stride: usize,
}

impl Outputs for Spaced {
    fn places(&self, first: usize, places: &mut [u32]) {
        for (place, row) in places.iter_mut().zip(first..) {
            *place = (row * self.stride) as u32;
        }
    }

    fn stride(&self) -> Option<usize> {
        Some(self.stride)
    }
}

/// Rows are pixels, which lie alike in all images.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    /// Of an image.
    pub places: &'a [u32],
    /// From an image to the next.
    pub image_stride: usize,
    /// Pixels that come before the first.
    pub skipped: usize,
}

impl Outputs for Pixels<'_> {
    fn places(&self, first: usize, places: &mut [u32]) {
        let pixel = self.skipped + first;
        let (mut image, mut pixel) = (pixel / self.places.len(), pixel % self.places.len());
        for place in places {
            if pixel == self.places.len() {
                (image, pixel) = (image + 1, 0);
            }
            *place = (image * self.image_stride) as u32 + self.places[pixel];
            pixel += 1;
        }
    }

    fn stride(&self) -> Option<usize> {
        None
    }
}

/// How tiles cover the rows of a product.
struct Cover<'a> {
    lines: &'a Lines<'a, Pair>,
    /// Rows of each tile.
    tile_len: usize,
    /// Where the last tile begins at the latest, so that all of it lies where rows do.
    last_place: usize,
}

impl<'a> Cover<'a> {
    fn new(lines: &'a Lines<'a, Pair>, num_rows: usize) -> Self {
        let last_row = lines.place(num_rows - 1);
        let tile_len = MAX_ROWS.min(last_row / lines.row_stride + 1);
        Cover { lines, tile_len, last_place: last_row - (tile_len - 1) * lines.row_stride }
    }

    /// The tiles that cover all rows.
    fn tiles(&self, num_rows: usize, outputs: &impl Outputs) -> Vec<TileRows> {
        let mut tiles = Vec::with_capacity(num_rows / self.tile_len + 1);
        let mut row = 0;
        while row < num_rows {
            let mut tile = TileRows {
                first: self.lines.place(row).min(self.last_place),
                first_end: 0,
                outputs: [NOWHERE; MAX_ROWS],
            };
            // Line by line, as far as the tile reaches.
            while row < num_rows {
                let index = (self.lines.place(row) - tile.first) / self.lines.row_stride;
                if index >= self.tile_len {
                    break;
                }
                let len = self.lines.left_in_line(row).min(num_rows - row);
                let places = &mut tile.outputs[index..self.tile_len];
                let len = len.min(places.len());
                outputs.places(row, &mut places[..len]);
                row += len;
            }
            tiles.push(tile);
        }
        tiles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of 7 rows and one between them, three of an image and one between images.
    const LINES: Lines<'static, Pair> = Lines {
        values: &[],
        segments: &[0],
        row_stride: 5,
        line_len: 7,
        line_stride: 8 * 5,
        image_len: 3,
        image_stride: 4 * 8 * 5,
        skipped: 0,
    };

    fn tiles(lines: &Lines<Pair>, num_rows: usize) -> Vec<TileRows> {
        Cover::new(lines, num_rows).tiles(num_rows, &Spaced { stride: 1 })
    }

    #[test]
    fn every_row_is_computed_once_and_where_it_lies() {
        for skipped in [0, 3, 20] {
            for num_rows in 1..80 {
                let lines = Lines { skipped, ..LINES };
                let cover = Cover::new(&lines, num_rows);
                let mut found = Vec::new();
                for tile in tiles(&lines, num_rows) {
                    for (index, &output) in tile.outputs.iter().enumerate() {
                        if output != NOWHERE {
                            assert!(index < cover.tile_len);
                            assert_eq!(tile.first + 5 * index, lines.place(output as usize));
                            found.push(output as usize);
                        }
                    }
                    let end = tile.first + 5 * (cover.tile_len - 1);
                    assert!(end <= lines.place(num_rows - 1), "a tile reaches too far");
                }
                assert_eq!(found, (0..num_rows).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn pixels_go_where_they_lie_in_their_images() {
        let pixels = Pixels { places: &[1, 5, 2], image_stride: 10, skipped: 1 };
        let mut places = [0; 6];
        pixels.places(1, &mut places);
        assert_eq!(places, [2, 11, 15, 12, 21, 25]);
    }

    #[test]
    fn a_tile_takes_two_lines_with_what_is_between_them() {
        let found = tiles(&LINES, 42);
        let counts =
            found.iter().map(|tile| tile.outputs.iter().filter(|&&o| o != NOWHERE).count());
        assert_eq!(counts.collect::<Vec<_>>(), [14, 7, 14, 7]);
        assert_eq!(found[0].outputs[6..9], [6, NOWHERE, 7]);
    }
}

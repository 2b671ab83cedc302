//! The numbers that a network is computed with: f32, bf16 with sums in f32, or f32 that products round to integers.

use std::fmt::Debug;

use pulp::Simd;

use super::gemm::{Contiguous, Epilogue, PackedWeights, gemm};
use super::isa::Isa;
use super::lines::RowsInLines;
use super::panels::{OUTPUTS, Panels};

/// f32 vectors that a vector of values holds at most.
pub const MAX_PARTS: usize = 2;

/// How products are taken.
pub trait Arithmetic: Debug + Copy + Send + Sync {
    /// What activations consist of.
    type Value: Value;
    /// The right matrix of a product.
    type Weights: Debug + Send + Sync;

    /// The instructions of everything that is not a product.
    fn isa(self) -> Isa;

    /// Room for the weights of rows of `num_segments` segments of `segment_len` channels. `num_outputs` is
    /// a multiple of 32.
    fn with_capacity(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
    ) -> Self::Weights;

    /// Packs the weights of the next 32 outputs, `[segments, segment_len, 32]` f32.
    fn push_panel(self, panel: &[[f32; OUTPUTS]], weights: &mut Self::Weights);

    /// Packs the weights of all outputs. `row` writes those of one, `[segments, segment_len]` f32.
    fn pack(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
        row: impl FnMut(usize, &mut [f32]),
    ) -> Self::Weights {
        let mut weights = self.with_capacity(num_segments, segment_len, num_outputs);
        let depth = num_segments * segment_len;
        let pack = |panel: &[_]| self.push_panel(panel, &mut weights);
        Panels::default().for_each(self.isa(), depth, num_outputs, row, pack);
        weights
    }

    /// Writes `values`, one channel each, to `out`, rounded to the nearest.
    fn round(self, values: &[f32], out: &mut [Self::Value]);

    /// Writes `rows * weights` to `out`, `[rows, outputs]`: see [`gemm`].
    fn multiply(
        self,
        rows: &impl RowsInLines<Self::Value>,
        weights: &Self::Weights,
        epilogue: Epilogue,
        out: &mut [Self::Value],
    );
}

/// Products whose sums are wanted in f32.
pub trait F32Products: Arithmetic {
    /// Writes the plain sums of `rows * weights` to `out`, `[rows, outputs]` f32.
    fn multiply_to_f32(
        self,
        rows: &Contiguous<'_, Self::Value>,
        weights: &Self::Weights,
        out: &mut [f32],
    );
}

/// One channel of an activation, or several that lie in 32 bits.
pub trait Value: Debug + Copy + Default + Send + Sync + 'static {
    /// How many.
    const CHANNELS: usize;
    /// As many of them as vectors have lanes.
    type Vector<S: Simd>: Copy;

    /// Whole vectors of `values`.
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];

    /// The same, to be changed.
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];

    /// One of the f32 vectors that a vector of values holds, of which there are `CHANNELS`.
    fn part<S: Simd>(simd: S, vector: Self::Vector<S>, part: usize) -> S::f32s;

    /// The vector of values that holds the first `CHANNELS` of `parts`.
    fn join<S: Simd>(simd: S, parts: [S::f32s; MAX_PARTS]) -> Self::Vector<S>;

    /// Which channel lies at a place of the parts of all vectors, one after the other. `lanes` are
    /// those of a vector.
    fn channel(place: usize, lanes: usize) -> usize;

    /// Writes the bits of every channel in bf16, rounded to the nearest where it has more.
    fn to_bf16(values: &[Self], out: &mut [u16]);
}

/// The bits of the nearest bf16, halves to even.
#[inline(always)]
pub fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    // NaN stays NaN.
    let rounded =
        if value.is_nan() { bits >> 16 | 0x40 } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 };
    rounded as u16
}

impl Value for f32 {
    const CHANNELS: usize = 1;
    type Vector<S: Simd> = S::f32s;

    #[inline(always)]
    fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
        S::as_simd_f32s(values).0
    }

    #[inline(always)]
    fn vectors_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(values).0
    }

    #[inline(always)]
    fn part<S: Simd>(_simd: S, vector: S::f32s, _part: usize) -> S::f32s {
        vector
    }

    #[inline(always)]
    fn join<S: Simd>(_simd: S, parts: [S::f32s; MAX_PARTS]) -> S::f32s {
        parts[0]
    }

    fn channel(place: usize, _lanes: usize) -> usize {
        place
    }

    fn to_bf16(values: &[f32], out: &mut [u16]) {
        for (out, &value) in out.iter_mut().zip(values) {
            *out = bf16_bits(value);
        }
    }
}

/// f32.
impl Arithmetic for Isa {
    type Value = f32;
    type Weights = PackedWeights;

    fn isa(self) -> Isa {
        self
    }

    fn with_capacity(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
    ) -> PackedWeights {
        PackedWeights::with_capacity(self, num_segments, segment_len, num_outputs)
    }

    fn push_panel(self, panel: &[[f32; OUTPUTS]], weights: &mut PackedWeights) {
        weights.push_outputs(panel);
    }

    fn round(self, values: &[f32], out: &mut [f32]) {
        out.copy_from_slice(values);
    }

    fn multiply(
        self,
        rows: &impl RowsInLines<f32>,
        weights: &PackedWeights,
        epilogue: Epilogue,
        out: &mut [f32],
    ) {
        gemm(self, rows, weights, epilogue, out);
    }
}

impl F32Products for Isa {
    fn multiply_to_f32(self, rows: &Contiguous<'_, f32>, weights: &PackedWeights, out: &mut [f32]) {
        gemm(self, rows, weights, Epilogue { bias: &[], add: false, relu: false }, out);
    }
}

//! The first convolution with the pooling after it.

use super::convolution::packed;
use super::{RGB, SIDE, resized};
use crate::error::Result;
use crate::kernels::arithmetic::{Arithmetic, Value};
use crate::kernels::gemm::{Epilogue, PackedWeights, Rows, gemm};
use crate::kernels::isa::Isa;
use crate::kernels::pool::max_pool;
use crate::model::fold::fold;
use crate::model::resnet;
use crate::model::state_dict::StateDict;

/// The kernel reaches this far outside the image.
const PADDING: usize = 3;
const PADDED_SIDE: usize = SIDE + 2 * PADDING;
/// Side of the output before pooling.
const STEM_SIDE: usize = SIDE / 2;
/// Lines of it that are computed before they are pooled: 230 KB.
const STRIP: usize = 8;

/// Convolution and pooling, `[224, 224, 3]` f32 to `[56, 56, 64]`. In f32 whatever the rest is computed
/// in: its three channels make no pairs.
#[derive(Debug)]
pub(super) struct Stem {
    isa: Isa,
    /// Outputs in the order of [`Value::channel`].
    weights: PackedWeights,
    /// `[64]` in the same order.
    bias: Vec<f32>,
}

/// Buffers that are reused from call to call.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `[230, 230, 3]`: an image with zeros around it.
    padded: Vec<f32>,
    /// `[1 + 8, 112, 64]`: a strip of lines below the last one of the strip before.
    strip: Vec<f32>,
}

impl Stem {
    pub(super) fn new<A: Arithmetic>(arithmetic: A, state_dict: &StateDict) -> Result<Self> {
        let isa = arithmetic.isa();
        let folded = fold(state_dict, &resnet::stem())?;
        let channel = |place| A::Value::channel(place, isa.lanes());
        let weights = packed(isa, &resnet::stem(), &folded, channel);
        let bias = (0..folded.bias.len()).map(|place| folded.bias[channel(place)]).collect();
        Ok(Stem { isa, weights, bias })
    }

    /// Some lines at a time, so that they are pooled while they are in the cache.
    pub(super) fn forward<V: Value>(
        &self,
        image: &[f32],
        scratch: &mut Scratch,
        pooled: &mut Vec<V>,
    ) {
        let Scratch { padded, strip: lines } = scratch;
        padded.resize(PADDED_SIDE * PADDED_SIDE * RGB, 0.0);
        let padded_lines = padded.chunks_exact_mut(PADDED_SIDE * RGB).skip(PADDING);
        for (line, pixels) in padded_lines.zip(image.chunks_exact(SIDE * RGB)) {
            line[PADDING * RGB..][..SIDE * RGB].copy_from_slice(pixels);
        }
        let num_channels = self.weights.num_outputs();
        let line_len = STEM_SIDE * num_channels;
        // The image begins below a line of zeros.
        lines.resize((1 + STRIP) * line_len, 0.0);
        lines[..line_len].fill(0.0);
        let pooled = resized(pooled, STEM_SIDE * line_len / 4 / V::CHANNELS);
        let strips = pooled.chunks_exact_mut(STRIP * line_len / 4 / V::CHANNELS);
        for (strip, pooled) in strips.enumerate() {
            let rows = StemRows { padded, first_line: strip * STRIP };
            let epilogue = Epilogue { bias: &self.bias, add: false, relu: true };
            gemm(self.isa, &rows, &self.weights, epilogue, &mut lines[line_len..]);
            max_pool(self.isa, lines, STEM_SIDE, num_channels, pooled);
            lines.copy_within(STRIP * line_len.., 0);
        }
    }
}

/// The lines of the kernel at each output pixel of a strip.
struct StemRows<'a> {
    /// `[230, 230, 3]`
    padded: &'a [f32],
    first_line: usize,
}

impl Rows<f32> for StemRows<'_> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        STRIP * STEM_SIDE
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let (y, x) = (self.first_line + row / STEM_SIDE, row % STEM_SIDE);
        2 * (y * PADDED_SIDE + x) * RGB
    }

    #[inline(always)]
    fn segment(&self, place: usize, segment: usize) -> &[f32] {
        &self.padded[place + segment * PADDED_SIDE * RGB..]
    }
}

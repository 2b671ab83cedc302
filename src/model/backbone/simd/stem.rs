//! The first convolution with the pooling after it.

use super::{RGB, SIDE};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::arithmetic::{Arithmetic, Value};
use crate::kernels::fetch::LINE_LEN;
use crate::kernels::gemm::{Epilogue, Rows};
use crate::kernels::lines::{Lines, RowsInLines};
use crate::kernels::pool::max_pool;
use crate::model::fold::Folding;
use crate::model::resnet;
use crate::model::state_dict::TensorSource;

/// The kernel reaches this far outside the image.
const PADDING: usize = 3;
const PADDED_SIDE: usize = SIDE + 2 * PADDING;
/// Side of the kernel.
const KERNEL: usize = 7;
/// Channels in a line of the kernel.
const KERNEL_LINE_LEN: usize = KERNEL * RGB;
/// Side of the output before pooling.
const STEM_SIDE: usize = SIDE / 2;
/// Lines of it that are computed before they are pooled: 230 KB in f32.
const STRIP: usize = 8;

/// Convolution and pooling, `[224, 224, 3]` f32 to `[56, 56, 64]`. A segment of its rows is a line of the
/// kernel, 21 channels that lie beside each other; where values are pairs, a 22nd is multiplied by zero.
#[derive(Debug)]
pub(super) struct Stem<A: Arithmetic> {
    arithmetic: A,
    weights: A::Weights,
    /// `[64]`
    bias: Vec<f32>,
}

/// Buffers that are reused from call to call.
#[derive(Debug, Default)]
pub(super) struct Scratch<V> {
    /// `[230, 3]`: a line of an image between zeros.
    line: Vec<f32>,
    /// `[230, 230, 3]`: an image with zeros around it, and as many behind it as a product may take along.
    padded: Vec<V>,
    /// `[1 + 8, 112, 64]`: a strip of lines below the last one of the strip before.
    strip: Aligned<V>,
}

impl<A: Arithmetic> Stem<A> {
    pub(super) fn new(arithmetic: A, tensors: &dyn TensorSource) -> Result<Self> {
        let conv = resnet::stem();
        let mut folding = Folding::new(tensors, &conv)?;
        let segment_len = KERNEL_LINE_LEN.next_multiple_of(A::Value::CHANNELS);
        // [3, 7, 7]
        let mut kernel = [0.0; RGB * KERNEL * KERNEL];
        let weights = arithmetic.pack(KERNEL, segment_len, conv.out_channels, |output, row| {
            folding.row(output, &mut kernel);
            row.fill(0.0);
            for (line, segment) in row.chunks_exact_mut(segment_len).enumerate() {
                for (place, value) in segment[..KERNEL_LINE_LEN].iter_mut().enumerate() {
                    let (column, input) = (place / RGB, place % RGB);
                    *value = kernel[(input * KERNEL + line) * KERNEL + column];
                }
            }
        });
        Ok(Stem { arithmetic, weights, bias: folding.finish()? })
    }

    /// Some lines at a time, so that they are pooled while they are in the cache.
    pub(super) fn forward(
        &self,
        image: &[f32],
        scratch: &mut Scratch<A::Value>,
        pooled: &mut Aligned<A::Value>,
    ) {
        let Scratch { line, padded, strip: lines } = scratch;
        line.resize(PADDED_SIDE * RGB, 0.0);
        let padded_len = PADDED_SIDE * padded_line_len::<A::Value>();
        padded.resize(padded_len + LINE_LEN, A::Value::default());
        let padded_lines = padded.chunks_exact_mut(padded_line_len::<A::Value>()).skip(PADDING);
        for (padded, pixels) in padded_lines.zip(image.chunks_exact(SIDE * RGB)) {
            line[PADDING * RGB..][..SIDE * RGB].copy_from_slice(pixels);
            self.arithmetic.round(line, padded);
        }
        let pixel_len = self.bias.len() / A::Value::CHANNELS;
        let line_len = STEM_SIDE * pixel_len;
        // The image begins below a line of zeros.
        let lines = lines.resized((1 + STRIP) * line_len);
        lines[..line_len].fill(A::Value::default());
        let pooled = pooled.resized(STEM_SIDE * line_len / 4);
        for (strip, pooled) in pooled.chunks_exact_mut(STRIP * line_len / 4).enumerate() {
            let rows = StemRows { padded, first_line: strip * STRIP };
            let epilogue = Epilogue { bias: &self.bias, add: false, relu: true };
            self.arithmetic.multiply(&rows, &self.weights, epilogue, &mut lines[line_len..]);
            max_pool(self.arithmetic.isa(), lines, STEM_SIDE, pixel_len, pooled);
            lines.copy_within(STRIP * line_len.., 0);
        }
    }
}

/// Values in a line of an image with its zeros.
const fn padded_line_len<V: Value>() -> usize {
    PADDED_SIDE * RGB / V::CHANNELS
}

/// From a line of the kernel's beginning to each of its lines.
const fn segments<V: Value>() -> [usize; KERNEL] {
    let mut segments = [0; KERNEL];
    let mut line = 0;
    while line < KERNEL {
        segments[line] = line * padded_line_len::<V>();
        line += 1;
    }
    segments
}

/// The lines of the kernel at each output pixel of a strip.
struct StemRows<'a, V> {
    /// `[230, 230, 3]`
    padded: &'a [V],
    first_line: usize,
}

impl<V: Value> Rows<V> for StemRows<'_, V> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        STRIP * STEM_SIDE
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let (y, x) = (self.first_line + row / STEM_SIDE, row % STEM_SIDE);
        2 * y * padded_line_len::<V>() + 2 * x * RGB / V::CHANNELS
    }

    #[inline(always)]
    fn segment(&self, place: usize, segment: usize) -> &[V] {
        &self.padded[place + segment * padded_line_len::<V>()..]
    }
}

impl<V: Value> RowsInLines<V> for StemRows<'_, V> {
    fn lines(&self) -> Lines<'_, V> {
        let line_stride = 2 * padded_line_len::<V>();
        Lines {
            values: &self.padded[self.first_line * line_stride..],
            segments: const { &segments::<V>() },
            row_stride: 2 * RGB / V::CHANNELS,
            line_len: STEM_SIDE,
            line_stride,
            image_len: STRIP,
            image_stride: STRIP * line_stride,
            skipped: 0,
        }
    }
}

//! 3x3 convolutions as one matrix product over an input with zeros around it.

use super::convolution::{Conv3x3, Product};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::arithmetic::{Arithmetic, Value};
use crate::kernels::gemm::Rows;
use crate::kernels::lines::Lines;
use crate::model::resnet::ConvNorm;
use crate::model::state_dict::StateDict;

/// Side of the kernel.
const KERNEL: usize = 3;

/// The convolution of images of a given size.
#[derive(Debug)]
pub struct Padded<A: Arithmetic> {
    product: Product<A>,
    padding: Padding,
}

impl<A: Arithmetic> Conv3x3<A> for Padded<A> {
    /// The input with its zeros.
    type Scratch = Aligned<A::Value>;

    fn new(arithmetic: A, state_dict: &StateDict, conv: &ConvNorm, side: usize) -> Result<Self> {
        let pixel_len = conv.in_channels / A::Value::CHANNELS;
        Ok(Padded {
            product: Product::new(arithmetic, state_dict, conv)?,
            padding: Padding { side, stride: conv.stride, pixel_len },
        })
    }

    fn forward(
        &self,
        input: &[A::Value],
        padded: &mut Aligned<A::Value>,
        out: &mut [A::Value],
    ) {
        let padding = self.padding;
        let num_images = input.len() / padding.input_len();
        let plane_len = padding.plane_len(num_images);
        let padded = padded.resized(padding.num_planes() * plane_len);
        for (plane, padded) in padded.chunks_exact_mut(plane_len).enumerate() {
            padding.fill(plane, input, padded);
        }
        let segments = padding.segments(plane_len);
        self.product.forward(&PaddedRows { padded, segments, padding, num_images }, true, out);
    }
}

/// How pixels lie between zeros. A convolution with stride 2 has a plane for each parity of line and column,
/// so that the pixels under its kernel lie side by side. A line of zeros is above each image, and a pixel of
/// zeros before each line: after the line as well, since the next one follows.
#[derive(Debug, Clone, Copy)]
struct Padding {
    /// Of the input, in pixels.
    side: usize,
    stride: usize,
    /// Values of a pixel.
    pixel_len: usize,
}

impl Padding {
    fn out_side(self) -> usize {
        self.side / self.stride
    }

    fn num_planes(self) -> usize {
        self.stride * self.stride
    }

    fn input_len(self) -> usize {
        self.side * self.side * self.pixel_len
    }

    /// Values of a plane's line.
    fn line_len(self) -> usize {
        (self.out_side() + 1) * self.pixel_len
    }

    /// Values of a plane's image, the line above it included.
    fn image_len(self) -> usize {
        (self.out_side() + 1) * self.line_len()
    }

    /// Values of a plane: the last image has a line below it, and that one a pixel after it.
    fn plane_len(self, num_images: usize) -> usize {
        num_images * self.image_len() + self.line_len() + self.pixel_len
    }

    /// Where the pixels under the kernel lie, from the first one of them.
    fn segments(self, plane_len: usize) -> [usize; KERNEL * KERNEL] {
        std::array::from_fn(|tap| {
            let (line, column) = (tap / KERNEL, tap % KERNEL);
            let plane = line % self.stride * self.stride + column % self.stride;
            let (line, column) = (line / self.stride, column / self.stride);
            plane * plane_len + line * self.line_len() + column * self.pixel_len
        })
    }

    /// Writes every value of a plane. Line and column 0 of the whole are zeros, the input begins at 1.
    fn fill<V: Value>(self, plane: usize, input: &[V], out: &mut [V]) {
        let (parity_y, parity_x) = (plane / self.stride, plane % self.stride);
        let (images, rest) = out.split_at_mut(out.len() / self.image_len() * self.image_len());
        rest.fill(V::default());
        let input_images = input.chunks_exact(self.input_len());
        for (input, image) in input_images.zip(images.chunks_exact_mut(self.image_len())) {
            for (y, line) in image.chunks_exact_mut(self.line_len()).enumerate() {
                match (y * self.stride + parity_y).checked_sub(1) {
                    Some(y) if y < self.side => {
                        let line_len = self.side * self.pixel_len;
                        self.fill_line(parity_x, &input[y * line_len..][..line_len], line);
                    }
                    _ => line.fill(V::default()),
                }
            }
        }
    }

    fn fill_line<V: Value>(self, parity: usize, input: &[V], out: &mut [V]) {
        let len = self.pixel_len;
        if self.stride == 1 {
            out[..len].fill(V::default());
            out[len..].copy_from_slice(input);
            return;
        }
        for (x, pixel) in out.chunks_exact_mut(len).enumerate() {
            match (x * self.stride + parity).checked_sub(1) {
                Some(x) if x < self.side => pixel.copy_from_slice(&input[x * len..][..len]),
                _ => pixel.fill(V::default()),
            }
        }
    }
}

/// Each output pixel's nine input pixels.
struct PaddedRows<'a, V> {
    /// `[planes, plane_len]`
    padded: &'a [V],
    segments: [usize; KERNEL * KERNEL],
    padding: Padding,
    num_images: usize,
}

impl<V: Value> Rows<V> for PaddedRows<'_, V> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.num_images * self.padding.out_side() * self.padding.out_side()
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let side = self.padding.out_side();
        // Lines and images are a pixel and a line longer than what they show.
        let line = row / side;
        ((line + line / side) * (side + 1) + row % side) * self.padding.pixel_len
    }

    #[inline(always)]
    fn segment(&self, place: usize, segment: usize) -> &[V] {
        &self.padded[place + self.segments[segment]..]
    }

    fn lines(&self) -> Lines<'_, V> {
        Lines {
            values: self.padded,
            segments: &self.segments,
            row_stride: self.padding.pixel_len,
            line_len: self.padding.out_side(),
            line_stride: self.padding.line_len(),
            image_len: self.padding.out_side(),
            image_stride: self.padding.image_len(),
            skipped: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels of two values, numbered from 1.
    fn pixel(number: usize) -> [f32; 2] {
        [number as f32, -(number as f32)]
    }

    #[test]
    fn the_kernel_finds_its_nine_pixels() {
        let (num_images, side) = (3, 4);
        for stride in [1, 2] {
            let padding = Padding { side, stride, pixel_len: 2 };
            let input: Vec<f32> = (1..=num_images * side * side).flat_map(pixel).collect();
            let plane_len = padding.plane_len(num_images);
            let mut padded = vec![f32::NAN; padding.num_planes() * plane_len];
            for (plane, padded) in padded.chunks_exact_mut(plane_len).enumerate() {
                padding.fill(plane, &input, padded);
            }
            let segments = padding.segments(plane_len);
            let rows = PaddedRows { padded: &padded, segments, padding, num_images };
            let out_side = side / stride;
            assert_eq!(rows.num_rows(), num_images * out_side * out_side);
            for row in 0..rows.num_rows() {
                let place = rows.place(row);
                assert_eq!(rows.lines().place(row), place);
                let (image, y, x) =
                    (row / (out_side * out_side), row / out_side % out_side, row % out_side);
                for tap in 0..9 {
                    let (y, x) = (y * stride + tap / 3, x * stride + tap % 3);
                    let inside = (1..=side).contains(&y) && (1..=side).contains(&x);
                    let expected =
                        if inside { ((image * side + y - 1) * side) + x } else { 0 };
                    assert_eq!(rows.segment(place, tap)[..2], pixel(expected));
                }
            }
        }
    }
}

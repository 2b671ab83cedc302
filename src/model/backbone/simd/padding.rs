//! Images with zeros around them, so that a 3x3 kernel finds nine pixels everywhere.

use crate::kernels::arithmetic::Value;
use crate::kernels::gemm::Rows;
use crate::kernels::lines::{Lines, RowsInLines};

/// Side of the kernel.
const KERNEL: usize = 3;

/// How pixels lie between zeros. A convolution with stride 2 has a plane for each parity of line and column,
/// so that the pixels under its kernel lie side by side. A line of zeros is above each plane, and a pixel of
/// zeros before each line: after the line as well, since the next one follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Padding {
    /// Of the images, in pixels.
    pub(super) side: usize,
    /// Of the kernel.
    pub(super) stride: usize,
    /// Values of a pixel.
    pub(super) pixel_len: usize,
}

impl Padding {
    /// Of the convolution's output.
    pub(super) fn out_side(self) -> usize {
        self.side / self.stride
    }

    fn num_planes(self) -> usize {
        self.stride * self.stride
    }

    /// Values of a plane's line.
    fn line_len(self) -> usize {
        (self.out_side() + 1) * self.pixel_len
    }

    fn plane_len(self) -> usize {
        (self.out_side() + 1) * self.line_len()
    }

    /// Values of an image with its zeros.
    pub(super) fn image_len(self) -> usize {
        self.num_planes() * self.plane_len()
    }

    /// Values of some images: the last one has a line below it, and that one a pixel after it.
    pub(super) fn len(self, num_images: usize) -> usize {
        num_images * self.image_len() + self.line_len() + self.pixel_len
    }

    /// Where a pixel lies, counted from the zeros above and to the left.
    fn place(self, line: usize, column: usize) -> usize {
        let plane = line % self.stride * self.stride + column % self.stride;
        plane * self.plane_len()
            + line / self.stride * self.line_len()
            + column / self.stride * self.pixel_len
    }

    /// Where each pixel of an image lies.
    pub(super) fn places(self) -> Vec<u32> {
        let pixels = (0..self.side * self.side).map(|i| (i / self.side, i % self.side));
        pixels.map(|(y, x)| self.place(y + 1, x + 1) as u32).collect()
    }

    /// From the first pixel under the kernel to each of them.
    pub(super) fn segments(self) -> [usize; KERNEL * KERNEL] {
        std::array::from_fn(|tap| self.place(tap / KERNEL, tap % KERNEL))
    }

    /// Writes the zeros around images, whose pixels stay as they are.
    pub(super) fn clear<V: Value>(self, padded: &mut [V]) {
        let zero = V::default();
        let mut images = padded.chunks_exact_mut(self.image_len());
        for image in &mut images {
            for (plane, lines) in image.chunks_exact_mut(self.plane_len()).enumerate() {
                if plane < self.stride {
                    lines[..self.line_len()].fill(zero);
                }
                if plane.is_multiple_of(self.stride) {
                    for line in lines.chunks_exact_mut(self.line_len()) {
                        line[..self.pixel_len].fill(zero);
                    }
                }
            }
        }
        images.into_remainder().fill(zero);
    }
}

/// Nine pixels for each pixel of a convolution's output.
pub(super) struct PaddedRows<'a, V> {
    pub(super) padded: &'a [V],
    pub(super) padding: Padding,
    /// [`Padding::segments`]
    pub(super) segments: [usize; KERNEL * KERNEL],
    /// Of the output.
    pub(super) num_pixels: usize,
}

impl<V: Value> Rows<V> for PaddedRows<'_, V> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.num_pixels
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let side = self.padding.out_side();
        let (line, column) = (row / side, row % side);
        let (image, line) = (line / side, line % side);
        image * self.padding.image_len()
            + line * self.padding.line_len()
            + column * self.padding.pixel_len
    }

    #[inline(always)]
    fn segment(&self, place: usize, segment: usize) -> &[V] {
        &self.padded[place + self.segments[segment]..]
    }
}

impl<V: Value> RowsInLines<V> for PaddedRows<'_, V> {
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

    /// Pixels of two values, numbered from 1; 0 is a pixel of zeros.
    fn pixel(number: usize) -> [f32; 2] {
        [number as f32, -(number as f32)]
    }

    #[test]
    fn the_kernel_finds_its_nine_pixels() {
        let (num_images, side) = (3, 4);
        for stride in [1, 2] {
            let padding = Padding { side, stride, pixel_len: 2 };
            let mut padded = vec![f32::NAN; padding.len(num_images)];
            padding.clear(&mut padded);
            let places = padding.places();
            for number in 0..num_images * side * side {
                let (image, number_there) = (number / (side * side), number % (side * side));
                let place = image * padding.image_len() + places[number_there] as usize;
                padded[place..place + 2].copy_from_slice(&pixel(number + 1));
            }
            let out_side = side / stride;
            let num_pixels = num_images * out_side * out_side;
            let segments = padding.segments();
            let rows = PaddedRows { padded: &padded, padding, segments, num_pixels };
            assert_eq!(rows.num_rows(), num_pixels);
            for row in 0..num_pixels {
                let place = rows.place(row);
                assert_eq!(rows.lines().place(row), place);
                let (line, x) = (row / out_side, row % out_side);
                let (image, y) = (line / out_side, line % out_side);
                for tap in 0..9 {
                    let (y, x) = (y * stride + tap / 3, x * stride + tap % 3);
                    let inside = (1..=side).contains(&y) && (1..=side).contains(&x);
                    let number = if inside { (image * side + y - 1) * side + x } else { 0 };
                    assert_eq!(rows.segment(place, tap)[..2], pixel(number));
                }
            }
        }
    }
}

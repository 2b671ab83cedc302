//! YCbCr or grey to RGB, with the constants and the rounding of `zune-jpeg`.

use pulp::Simd;

/// Pixels that are converted at once.
const GROUP: usize = super::plane::ALIGNMENT;
/// Bits behind the point of the factors, which are JFIF's 1.402, 0.714, 0.344 and 1.772.
const BITS: i32 = 14;
const CR_TO_RED: i32 = 22_970;
const CR_TO_GREEN: i32 = -11_700;
const CB_TO_GREEN: i32 = -5_638;
const CB_TO_BLUE: i32 = 29_032;
/// A little less than a half.
const ROUNDING: i32 = (1 << (BITS - 1)) - 1;

/// `out`: `[pixels, 3]` u8. There must be as many samples, rounded up to a whole group.
#[inline(always)]
pub(super) fn ycbcr_to_rgb<S: Simd>(simd: S, y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    let (y, cb, cr) = (y.as_chunks().0, cb.as_chunks().0, cr.as_chunks().0);
    let groups = y.iter().zip(cb).zip(cr);
    for (out, ((y, cb), cr)) in out.chunks_mut(3 * GROUP).zip(groups) {
        match <&mut [u8; 3 * GROUP]>::try_from(&mut *out) {
            Ok(out) => convert(simd, y, cb, cr, out),
            Err(_) => {
                let mut pixels = [0; 3 * GROUP];
                convert(simd, y, cb, cr, &mut pixels);
                out.copy_from_slice(&pixels[..out.len()]);
            }
        }
    }
}

#[inline(always)]
fn convert<S: Simd>(
    simd: S,
    y: &[u8; GROUP],
    cb: &[u8; GROUP],
    cr: &[u8; GROUP],
    out: &mut [u8; 3 * GROUP],
) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = crate::kernels::avx2::avx2(simd) {
        return x86::convert(simd, y, cb, cr, out);
    }
    let _ = simd;
    let (pixels, _) = out.as_chunks_mut::<3>();
    for (pixel, ((&y, &cb), &cr)) in pixels.iter_mut().zip(y.iter().zip(cb).zip(cr)) {
        let [y, cb, cr] = [i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128];
        let red = CR_TO_RED * cr;
        let green = CR_TO_GREEN * cr + CB_TO_GREEN * cb;
        let blue = CB_TO_BLUE * cb;
        *pixel = [red, green, blue].map(|sum| (y + ((sum + ROUNDING) >> BITS)).clamp(0, 255) as u8);
    }
}

/// `out`: `[pixels, 3]` u8.
#[inline(always)]
pub(super) fn grey_to_rgb(grey: &[u8], out: &mut [u8]) {
    for (pixel, &level) in out.as_chunks_mut::<3>().0.iter_mut().zip(grey) {
        *pixel = [level; 3];
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! 32 pixels at once.

    use std::arch::x86_64::__m256i;

    use pulp::x86::V3;

    use super::*;

    /// Samples of 16 pixels.
    type Half = [u8; GROUP / 2];

    #[inline(always)]
    pub(super) fn convert(
        simd: V3,
        y: &[u8; GROUP],
        cb: &[u8; GROUP],
        cr: &[u8; GROUP],
        out: &mut [u8; 3 * GROUP],
    ) {
        let avx2 = simd.avx2;
        let [y, cb, cr]: [[Half; 2]; 3] =
            [bytemuck::cast(*y), bytemuck::cast(*cb), bytemuck::cast(*cr)];
        let first = half(simd, y[0], cb[0], cr[0]);
        let second = half(simd, y[1], cb[1], cr[1]);
        // 8 pixels of the first half, 8 of the second, and so on.
        let red = avx2._mm256_packus_epi16(first[0], second[0]);
        let green = avx2._mm256_packus_epi16(first[1], second[1]);
        let blue = avx2._mm256_packus_epi16(first[2], second[2]);
        let red = avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(red);
        let green = avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(green);
        let blue = avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(blue);
        // Of both halves the first, second and third 16 bytes.
        let [a0, b0] = interleaved::<0>(simd, red, green, blue);
        let [a1, b1] = interleaved::<1>(simd, red, green, blue);
        let [a2, b2] = interleaved::<2>(simd, red, green, blue);
        *out = bytemuck::cast([a0, a1, a2, b0, b1, b2]);
    }

    /// Red, green and blue of 16 pixels as 16 bits, not yet within 0 to 255.
    #[inline(always)]
    fn half(simd: V3, y: Half, cb: Half, cr: Half) -> [__m256i; 3] {
        let avx2 = simd.avx2;
        let y = avx2._mm256_cvtepu8_epi16(bytemuck::cast(y));
        let middle = bytemuck::cast([128_i16; 16]);
        let cb = avx2._mm256_sub_epi16(avx2._mm256_cvtepu8_epi16(bytemuck::cast(cb)), middle);
        let cr = avx2._mm256_sub_epi16(avx2._mm256_cvtepu8_epi16(bytemuck::cast(cr)), middle);
        // The factors less 1, so that products fit; this instruction rounds halves up, but there are
        // none: no chroma from -128 to 127 times such a factor ends on one.
        let red = bytemuck::cast([(2 * (CR_TO_RED - (1 << BITS))) as i16; 16]);
        let red = avx2._mm256_add_epi16(avx2._mm256_mulhrs_epi16(cr, red), cr);
        let blue = bytemuck::cast([(2 * (CB_TO_BLUE - (1 << BITS))) as i16; 16]);
        let blue = avx2._mm256_add_epi16(avx2._mm256_mulhrs_epi16(cb, blue), cb);
        let low = green(simd, avx2._mm256_unpacklo_epi16(cr, cb));
        let high = green(simd, avx2._mm256_unpackhi_epi16(cr, cb));
        let green = avx2._mm256_packs_epi32(low, high);
        [
            avx2._mm256_add_epi16(y, red),
            avx2._mm256_add_epi16(y, green),
            avx2._mm256_add_epi16(y, blue),
        ]
    }

    /// What pairs of Cr and Cb add to green, as 32 bits.
    #[inline(always)]
    fn green(simd: V3, pairs: __m256i) -> __m256i {
        let factors = bytemuck::cast([[CR_TO_GREEN as i16, CB_TO_GREEN as i16]; 8]);
        let sum = simd.avx2._mm256_madd_epi16(pairs, factors);
        let sum = simd.avx2._mm256_add_epi32(sum, bytemuck::cast([ROUNDING; 8]));
        simd.avx2._mm256_srai_epi32::<BITS>(sum)
    }

    /// 16 of the 48 bytes of the pixels of each half: the first, second or third of them.
    #[inline(always)]
    fn interleaved<const PART: usize>(
        simd: V3,
        red: __m256i,
        green: __m256i,
        blue: __m256i,
    ) -> [Half; 2] {
        let avx2 = simd.avx2;
        let red = avx2._mm256_shuffle_epi8(red, bytemuck::cast([const { order(PART, 0) }; 2]));
        let green = avx2._mm256_shuffle_epi8(green, bytemuck::cast([const { order(PART, 1) }; 2]));
        let blue = avx2._mm256_shuffle_epi8(blue, bytemuck::cast([const { order(PART, 2) }; 2]));
        bytemuck::cast(avx2._mm256_or_si256(avx2._mm256_or_si256(red, green), blue))
    }

    /// Which pixel's sample each of 16 bytes is, if it is one of this channel.
    const fn order(part: usize, channel: usize) -> Half {
        // A byte whose highest bit is set stands for zero.
        let mut order = [0x80; 16];
        let mut byte = 0;
        while byte < 16 {
            let place = 16 * part + byte;
            if place % 3 == channel {
                order[byte] = (place / 3) as u8;
            }
            byte += 1;
        }
        order
    }
}

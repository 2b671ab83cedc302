//! Chroma to as many samples as there are pixels.
//!
//! Linear interpolation where chroma lies between the pixels: three parts of the nearest sample, one
//! of the next, rounded down the columns, then once more along the rows, as `zune-jpeg` does.

/// `3 / 4 * near + far / 4`, sample by sample.
#[inline(always)]
pub(super) fn mix(near: &[u8], far: &[u8], out: &mut [u8]) {
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = mixed(near, far);
    }
}

/// Twice as many samples as the first `width` of a row. At the ends there is nothing to mix with.
#[inline(always)]
pub(super) fn widen(row: &[u8], width: usize, out: &mut [u8]) {
    let row = &row[..width];
    let (pairs, _) = out.as_chunks_mut::<2>();
    let pairs = &mut pairs[..width];
    pairs[0] = [row[0], mixed(row[0], row[1])];
    pairs[width - 1] = [mixed(row[width - 1], row[width - 2]), row[width - 1]];
    let neighbours = row.iter().zip(&row[1..]).zip(&row[2..]);
    for (pair, ((&left, &near), &right)) in pairs[1..width - 1].iter_mut().zip(neighbours) {
        *pair = [mixed(near, left), mixed(near, right)];
    }
}

#[inline(always)]
fn mixed(near: u8, far: u8) -> u8 {
    ((3 * u16::from(near) + u16::from(far) + 2) >> 2) as u8
}

//! A block's coefficients, from its bits.

use super::bits::Bits;
use super::huffman::{END, Table};
use super::idct::place_of;

/// An 8x8 block of coefficients, still quantized.
#[derive(Debug)]
pub(super) struct Block {
    /// At the places of [`place_of`]. The last ones are for what would lie behind the end.
    coefficients: [i16; 256],
    /// How many there are, in the order of coding, up to the last one that is not zero: at least 1.
    num_coded: usize,
}

impl Block {
    pub(super) const EMPTY: Block = Block { coefficients: [0; 256], num_coded: 1 };

    /// Reads the next block of a component. `dc`: the DC coefficient of its last one, then of this one.
    /// `None` when it is none that a baseline JPEG should hold.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        bits: &mut Bits,
        [dc_table, ac_table]: [&Table; 2],
        dc: &mut i16,
    ) -> Option<()> {
        self.coefficients[..64].fill(0);
        bits.refill();
        let code = dc_table.code(bits.window())?;
        *dc = i16::try_from(i32::from(*dc) + code.value(bits.window())).ok()?;
        bits.skip(code.num_bits());
        self.coefficients[0] = *dc;

        let mut index = 1;
        loop {
            // Lasts for two pairs of up to 11 bits and a long symbol of up to 16 + 10.
            bits.refill();
            for _ in 0..3 {
                let window = bits.window();
                let pair = ac_table.pair(window);
                if pair.is_none() {
                    let (code, run) = ac_table.ac_code(window)?;
                    bits.skip(code.num_bits());
                    let place = index + run;
                    if place > 63 {
                        return self.end(index, run == END);
                    }
                    self.put(place, code.value(window) as i16);
                    if place == 63 {
                        return self.end(64, true);
                    }
                    index = place + 1;
                    break;
                }
                bits.skip(pair.num_bits());
                let first = index + pair.run();
                let second = first + pair.step();
                let [first_value, second_value] = pair.values();
                // When there is no second one, the first one overwrites it.
                self.put(second, second_value);
                self.put(first, first_value);
                if second < 63 {
                    index = second + 1;
                    continue;
                }
                if first > 63 {
                    return self.end(index, pair.run() == END);
                }
                if first == 63 {
                    // What follows is the next block's.
                    bits.go_back(window, pair.num_bits());
                    bits.skip(ac_table.code(window)?.num_bits());
                }
                return if first == 63 || second == 63 {
                    self.end(64, true)
                } else {
                    self.end(first + 1, pair.step() == END)
                };
            }
        }
    }

    /// `is_whole`: whether the block ends where it should.
    #[inline(always)]
    fn end(&mut self, num_coded: usize, is_whole: bool) -> Option<()> {
        self.num_coded = num_coded;
        is_whole.then_some(())
    }

    /// Puts a value to its place, the `index`th in the order of coding.
    #[inline(always)]
    fn put(&mut self, index: usize, value: i16) {
        self.coefficients[usize::from(PLACES[index & 255])] = value;
    }

    /// At the places of [`place_of`].
    #[inline(always)]
    pub(super) fn coefficients(&self) -> &[i16; 64] {
        self.coefficients.first_chunk().unwrap_or(&[0; 64])
    }

    /// Whether all coefficients beyond rows and columns 0 to 3 are zero for sure.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    #[inline(always)]
    pub(super) fn is_smooth(&self) -> bool {
        // The first four diagonals.
        self.num_coded <= 1 + 2 + 3 + 4
    }

    /// The DC coefficient, if all other ones are zero.
    #[inline(always)]
    pub(super) fn sole_dc(&self) -> Option<i16> {
        (self.num_coded == 1).then_some(self.coefficients[0])
    }
}

/// Where the coefficients lie in a block, in the order in which they are coded.
pub(super) const PLACES: [u8; 256] = places();

/// Diagonal by diagonal, in turn down and up.
const fn places() -> [u8; 256] {
    let mut places = [64; 256];
    let (mut x, mut y) = (0, 0);
    let mut index = 0;
    while index < 64 {
        places[index] = place_of(y as usize, x as usize) as u8;
        let is_upward = (x + y) % 2 == 0;
        if is_upward {
            if x == 7 {
                y += 1
            } else {
                x += 1;
                if y > 0 {
                    y -= 1
                }
            }
        } else if y == 7 {
            x += 1
        } else {
            y += 1;
            if x > 0 {
                x -= 1
            }
        }
        index += 1;
    }
    places
}

//! Baseline JPEGs of random coefficients, with random Huffman tables.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Codes of each length of the table for luminance's AC coefficients in ITU-T T.81, annex K: of all
/// lengths, and as many as there are symbols.
const AC_COUNTS: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
/// Twelve of 4 bits.
const DC_COUNTS: [u8; 16] = [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What a JPEG is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    pub(super) width: u16,
    pub(super) height: u16,
    /// Blocks of Y in an MCU: side by side, one below the other. `None`: the image is grey.
    pub(super) sampling: Option<(u8, u8)>,
    /// MCUs; 0: no restarts.
    pub(super) restart_interval: u16,
    /// Most coefficients that a block has beside its mean, from 0 to 63.
    pub(super) max_coded: usize,
    pub(super) seed: u64,
}

/// The bytes of such a JPEG.
pub(super) fn jpeg(recipe: Recipe) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
    let (across, down) = recipe.sampling.unwrap_or((1, 1));
    let sampling: &[(u8, u8)] =
        if recipe.sampling.is_some() { &[(across, down), (1, 1), (1, 1)] } else { &[(1, 1)] };

    let mut bytes = vec![0xff, 0xd8];
    let quantizers: [u8; 64] = std::array::from_fn(|_| rng.random_range(1..12));
    segment(&mut bytes, 0xdb, &[&[0], &quantizers]);
    let mut frame = [&[8], &recipe.height.to_be_bytes()[..], &recipe.width.to_be_bytes()].concat();
    let mut scan = vec![sampling.len() as u8];
    frame.push(sampling.len() as u8);
    for (id, (across, down)) in (1..).zip(sampling) {
        frame.extend([id, across << 4 | down, 0]);
        scan.extend([id, 0]);
    }
    segment(&mut bytes, 0xc0, &[&frame]);
    let mut dc_symbols: Vec<u8> = (0..12).collect();
    let mut ac_symbols: Vec<u8> =
        (0..=255).filter(|symbol| matches!(symbol & 15, 1..=10) || symbol % 0xf0 == 0).collect();
    dc_symbols.shuffle(&mut rng);
    ac_symbols.shuffle(&mut rng);
    segment(&mut bytes, 0xc4, &[&[0], &DC_COUNTS, &dc_symbols, &[0x10], &AC_COUNTS, &ac_symbols]);
    segment(&mut bytes, 0xdd, &[&recipe.restart_interval.to_be_bytes()]);
    segment(&mut bytes, 0xda, &[&scan, &[0, 63, 0]]);

    let mut bits = Bits { bytes, byte: 1 };
    let dc_codes = codes(&DC_COUNTS, &dc_symbols);
    let ac_codes = codes(&AC_COUNTS, &ac_symbols);
    let mcus = |side: u16, blocks: u8| usize::from(side).div_ceil(8 * usize::from(blocks));
    let mut means = [0; 3];
    for mcu in 0..mcus(recipe.width, across) * mcus(recipe.height, down) {
        let interval = usize::from(recipe.restart_interval);
        if interval > 0 && mcu > 0 && mcu % interval == 0 {
            bits.fill();
            bits.bytes.extend([0xff, 0xd0 + (mcu / interval - 1) as u8 % 8]);
            means = [0; 3];
        }
        for (&(across, down), mean) in sampling.iter().zip(&mut means) {
            for _ in 0..across * down {
                let next = rng.random_range(-120..120);
                bits.push_value(&dc_codes, 0, next - *mean);
                *mean = next;
                push_block(&mut bits, &ac_codes, recipe.max_coded, &mut rng);
            }
        }
    }
    bits.fill();
    bits.bytes.extend([0xff, 0xd9]);
    bits.bytes
}

/// The coefficients beside the mean.
fn push_block(bits: &mut Bits, codes: &[(u32, u32); 256], max_coded: usize, rng: &mut ChaCha8Rng) {
    let num_coded = rng.random_range(0..=max_coded);
    let most = *[1, 3, 20, 100].get(rng.random_range(0..4)).unwrap();
    let mut run = 0;
    for _ in 0..num_coded {
        let value = if rng.random() { rng.random_range(-most..=most) } else { 0 };
        if value == 0 {
            run += 1;
            continue;
        }
        while run > 15 {
            bits.push(codes[0xf0]);
            run -= 16;
        }
        bits.push_value(codes, run << 4, value);
        run = 0;
    }
    if num_coded < 63 || run > 0 {
        bits.push(codes[0]);
    }
}

/// Codes and their lengths, by symbol.
fn codes(counts: &[u8; 16], symbols: &[u8]) -> [(u32, u32); 256] {
    let mut codes = [(0, 0); 256];
    let mut symbols = symbols.iter();
    let mut code = 0;
    for (num_bits, &count) in (1..).zip(counts) {
        for &symbol in symbols.by_ref().take(count.into()) {
            codes[usize::from(symbol)] = (code, num_bits);
            code += 1;
        }
        code <<= 1;
    }
    codes
}

fn segment(bytes: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let content = parts.concat();
    bytes.extend([0xff, marker]);
    bytes.extend((content.len() as u16 + 2).to_be_bytes());
    bytes.extend(content);
}

/// Writes bits.
struct Bits {
    bytes: Vec<u8>,
    /// The bits that are not yet a byte, behind a one.
    byte: u16,
}

impl Bits {
    /// A number and how many bits of it count.
    fn push(&mut self, (number, num_bits): (u32, u32)) {
        for bit in (0..num_bits).rev() {
            self.byte = self.byte << 1 | (number >> bit & 1) as u16;
            if self.byte > 0xff {
                self.bytes.push(self.byte as u8);
                if self.byte as u8 == 0xff {
                    self.bytes.push(0);
                }
                self.byte = 1;
            }
        }
    }

    /// `symbol` with the length of `value`, then the value.
    fn push_value(&mut self, codes: &[(u32, u32); 256], symbol: usize, value: i32) {
        let num_bits = 32 - value.unsigned_abs().leading_zeros();
        self.push(codes[symbol | num_bits as usize]);
        let value = if value < 0 { value - 1 } else { value };
        self.push((value as u32, num_bits));
    }

    /// Completes a byte by ones.
    fn fill(&mut self) {
        while self.byte > 1 {
            self.push((1, 1));
        }
    }
}

//! Huffman tables, made ready for looking up.

/// So many bits are looked up at once.
const LOOKUP_BITS: u32 = 11;
const MAX_CODE_BITS: u32 = 16;
/// Bits of a value in a JPEG of 8-bit samples. DC coefficients are coded by their differences.
const MAX_AC_BITS: u8 = 10;
const MAX_DC_BITS: u8 = 11;
/// Stands for the run of zeros up to the end of a block: longer than any block.
pub(super) const END: usize = 63;

/// What the symbols of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The number of bits of the value behind it.
    Dc,
    /// A run of zeros in the upper half, the number of bits of the value behind it in the lower one.
    Ac,
}

/// A code: its length in bits, its symbol. No code has length 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    num_bits: u8,
    symbol: u8,
}

/// One or two whole symbols of AC coefficients, their values included.
///
/// From the lowest bit on, 6 bits each: how many bits they take; zeros before the first value; how
/// much further the second one lies, 0 when there is none. Then 7 bits each: the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair(u32);

/// A Huffman table (ITU-T T.81, annex C).
#[derive(Debug)]
pub(super) struct Table {
    /// By the first bits of the data; none for DC coefficients.
    pairs: [Pair; 1 << LOOKUP_BITS],
    /// By the first bits of the data; none where the code is longer.
    short: [Code; 1 << LOOKUP_BITS],
    /// In the order of the codes.
    codes: [Code; 256],
    /// By length, from 1 bit on: what comes behind the last code of this length, in 16 bits.
    ends: [u32; MAX_CODE_BITS as usize],
    /// By length: what a code is more than its symbol's place, modulo 2^32.
    offsets: [u32; MAX_CODE_BITS as usize],
}

impl Code {
    const NONE: Code = Code { num_bits: 0, symbol: 0 };

    /// Of the code and the value behind it.
    #[inline(always)]
    pub(super) fn num_bits(self) -> u32 {
        u32::from(self.num_bits + (self.symbol & 15))
    }

    /// Zeros before the value, [`END`] behind the last one. `None` for symbols of other JPEGs.
    #[inline(always)]
    fn run(self) -> Option<usize> {
        match (self.symbol >> 4, self.symbol & 15) {
            (0, 0) => Some(END),
            (1..15, 0) => None,
            (_, value_bits) if value_bits > MAX_AC_BITS => None,
            (run, _) => Some(run.into()),
        }
    }

    /// The value in `window`, whose first bits are the code.
    #[inline(always)]
    pub(super) fn value(self, window: u64) -> i32 {
        let window = window << (self.num_bits & 63);
        let shift = 63 - (self.symbol & 15);
        // A value whose first bit is 0 is negative.
        let offset = if (window as i64) < 0 { 0 } else { i64::MAX >> shift };
        ((window >> 1 >> shift) as i64 - offset) as i32
    }
}

impl Pair {
    const NONE: Pair = Pair(0);

    /// A single symbol.
    fn of(num_bits: u32, run: usize, value: i32) -> Pair {
        Pair(num_bits | (run as u32) << 6 | (value as u32 & 127) << 18)
    }

    /// Both, each of a single symbol.
    fn followed_by(self, second: Pair) -> Pair {
        let num_bits = self.num_bits() + second.num_bits();
        let step = (second.run() + 1).min(END) as u32;
        Pair(num_bits | self.0 & !63 | step << 12 | second.0 << 7 & !0 << 25)
    }

    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self == Pair::NONE
    }

    /// Of both codes and values.
    #[inline(always)]
    pub(super) fn num_bits(self) -> u32 {
        self.0 & 63
    }

    /// Zeros before the first value, [`END`] behind the last one.
    #[inline(always)]
    pub(super) fn run(self) -> usize {
        (self.0 >> 6 & 63) as usize
    }

    /// How much further the second value lies, [`END`] behind the last one; 0: there is none.
    #[inline(always)]
    pub(super) fn step(self) -> usize {
        (self.0 >> 12 & 63) as usize
    }

    #[inline(always)]
    pub(super) fn values(self) -> [i16; 2] {
        let value = self.0 as i32;
        [(value << 7 >> 25) as i16, (value >> 25) as i16]
    }
}

impl Table {
    /// `counts`: codes of each length, from 1 to 16 bits. `symbols`: theirs, in order, at most 256.
    /// `None` when they do not fit together or a symbol is not one of this kind.
    pub(super) fn new(kind: Kind, counts: &[u8; 16], symbols: &[u8]) -> Option<Box<Table>> {
        let mut table = Box::new(Table {
            pairs: [Pair::NONE; 1 << LOOKUP_BITS],
            short: [Code::NONE; 1 << LOOKUP_BITS],
            codes: [Code::NONE; 256],
            ends: [0; MAX_CODE_BITS as usize],
            offsets: [0; MAX_CODE_BITS as usize],
        });
        let mut bits: u32 = 0;
        let mut place = 0;
        for (num_bits, &count) in (1..).zip(counts) {
            let length = usize::from(num_bits) - 1;
            table.offsets[length] = bits.wrapping_sub(place as u32);
            for _ in 0..count {
                let code = Code { num_bits, symbol: *symbols.get(place)? };
                if kind == Kind::Dc && code.symbol > MAX_DC_BITS {
                    return None;
                }
                *table.codes.get_mut(place)? = code;
                if let Some(num_left) = LOOKUP_BITS.checked_sub(num_bits.into()) {
                    let first = (bits << num_left) as usize;
                    table.short.get_mut(first..first + (1 << num_left))?.fill(code);
                }
                bits += 1;
                place += 1;
            }
            // A code of ones alone is reserved.
            if count > 0 && bits >= 1 << num_bits {
                return None;
            }
            table.ends[length] = bits << (MAX_CODE_BITS - u32::from(num_bits));
            bits <<= 1;
        }
        if kind == Kind::Ac {
            table.find_pairs();
        }
        Some(table)
    }

    /// The symbols that come first in `window`, or none: then there is a long one, or none.
    #[inline(always)]
    pub(super) fn pair(&self, window: u64) -> Pair {
        self.pairs[(window >> (64 - LOOKUP_BITS)) as usize]
    }

    /// The code that comes first in `window`; `None` when none does.
    #[inline(always)]
    pub(super) fn code(&self, window: u64) -> Option<Code> {
        let code = self.short[(window >> (64 - LOOKUP_BITS)) as usize];
        if code != Code::NONE {
            return Some(code);
        }
        let bits = (window >> (64 - MAX_CODE_BITS)) as u32;
        for length in LOOKUP_BITS..MAX_CODE_BITS {
            if bits < self.ends[length as usize] {
                let place = (bits >> (15 - length)).wrapping_sub(self.offsets[length as usize]);
                return self.codes.get(place as usize).copied();
            }
        }
        None
    }

    /// The AC symbol that comes first in `window`, with its run. `None` when none does that a
    /// baseline JPEG should hold.
    #[inline(always)]
    pub(super) fn ac_code(&self, window: u64) -> Option<(Code, usize)> {
        let code = self.code(window)?;
        Some((code, code.run()?))
    }

    /// Fills in the symbols that are whole within [`LOOKUP_BITS`] and small enough.
    fn find_pairs(&mut self) {
        let mut singles = [Pair::NONE; 1 << LOOKUP_BITS];
        for (bits, single) in (0u64..).zip(&mut singles) {
            let window = bits << (64 - LOOKUP_BITS);
            if let Some((code, run)) = self.ac_code(window)
                && code.num_bits() <= LOOKUP_BITS
                && let value = code.value(window)
                && (-64..64).contains(&value)
            {
                *single = Pair::of(code.num_bits(), run, value);
            }
        }
        for (bits, (pair, &first)) in self.pairs.iter_mut().zip(&singles).enumerate() {
            let second = singles[bits << first.num_bits() & ((1 << LOOKUP_BITS) - 1)];
            let is_pair = !first.is_none()
                && first.run() < END
                && !second.is_none()
                && first.num_bits() + second.num_bits() <= LOOKUP_BITS;
            *pair = if is_pair { first.followed_by(second) } else { first };
        }
    }
}

//! Entropy-coded data, bit by bit.

/// Reads bits from the highest of each byte on.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// Of the next byte that is not yet in `window`.
    next: usize,
    /// The bits that come next, the first one highest. Below the lowest of `num_bits` there may be
    /// further ones of the data.
    window: u64,
    num_bits: u32,
}

impl<'a> Bits<'a> {
    #[inline(always)]
    pub(super) fn new(data: &'a [u8], start: usize) -> Self {
        Bits { data, next: start, window: 0, num_bits: 0 }
    }

    /// Sees to it that 56 bits can be had before the next call: zeros behind the end of the data.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let ahead = self.data.get(self.next..).and_then(|data| data.first_chunk());
        let word = ahead.map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.window |= word >> self.num_bits;
        self.next += ((63 - self.num_bits) / 8) as usize;
        self.num_bits |= 56;
    }

    /// The next 64 bits, of which those beyond a [`refill`](Self::refill) are not meaningful.
    #[inline(always)]
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Goes on by `num_bits`, of which only the lowest six bits count.
    #[inline(always)]
    pub(super) fn skip(&mut self, num_bits: u32) {
        self.window <<= num_bits & 63;
        self.num_bits = self.num_bits.wrapping_sub(num_bits & 63);
    }

    /// Goes back by the `num_bits` that were skipped last, before which the window was `window`.
    #[inline(always)]
    pub(super) fn go_back(&mut self, window: u64, num_bits: u32) {
        self.window = window;
        self.num_bits = self.num_bits.wrapping_add(num_bits);
    }

    /// Bits from the start of the data to the next one.
    #[inline(always)]
    pub(super) fn position(&self) -> usize {
        (self.next * 8).wrapping_sub(self.num_bits as usize)
    }
}

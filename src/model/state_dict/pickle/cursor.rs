//! A read position in a pickle's bytes.

use crate::model::state_dict::fault::{Fault, Result};

/// Takes values off the front of a byte slice.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, position: 0 }
    }

    /// Bytes taken so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next `count` bytes, borrowed: a declared length never allocates.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..count).ok_or_else(|| Fault::damaged("its pickle ends too early"))?;
        self.position += count;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// A length of one, four or eight bytes, then as many bytes as it says.
    pub(super) fn short_counted(&mut self) -> Result<&'a [u8]> {
        let count = self.u8()?;
        self.take(usize::from(count))
    }

    pub(super) fn counted(&mut self) -> Result<&'a [u8]> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    pub(super) fn long_counted(&mut self) -> Result<&'a [u8]> {
        let count = u64::from_le_bytes(self.array()?);
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Everything up to the next line feed, which is taken too.
    pub(super) fn line(&mut self) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(usize::MAX);
        let line = self.take(length)?;
        self.position += 1;
        Ok(line)
    }
}

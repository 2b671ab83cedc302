//! Entropy-coded data without the bytes that keep it from looking like markers.

/// Zeros behind the data, so that reading ahead finds whole words.
const PADDING: usize = 16;
/// Bytes that are looked at and copied at once.
const GROUP: usize = 64;

/// The data of a scan, from restart to restart.
#[derive(Debug)]
pub(super) struct Segments {
    /// All of them, one behind the other, then zeros.
    pub(super) data: Vec<u8>,
    /// Where each of them ends.
    pub(super) ends: Vec<usize>,
}

impl Segments {
    /// Of what follows a JPEG's header. `None` when there are not that many segments, the restart
    /// markers between them are not in order, or what follows is not the end of the image.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8], num_segments: usize) -> Option<Self> {
        let mut data = Vec::with_capacity(bytes.len() + PADDING);
        let mut ends = Vec::new();
        let mut rest = bytes;
        loop {
            while let Some((group, behind)) = rest.split_first_chunk::<GROUP>()
                && group.iter().fold(true, |is_plain, &byte| is_plain & (byte != 0xff))
            {
                data.extend_from_slice(group);
                rest = behind;
            }
            // One byte's marker may lie behind the group.
            let group = &rest[..rest.len().min(GROUP)];
            let num_plain = group.iter().position(|&byte| byte == 0xff).unwrap_or(group.len());
            data.extend_from_slice(&rest[..num_plain]);
            let (marker, behind) = rest[num_plain..].split_first_chunk::<2>()?;
            rest = behind;
            match marker[1] {
                0 => data.push(0xff),
                restart @ 0xd0..=0xd7 => {
                    if usize::from(restart & 7) != ends.len() % 8 || ends.len() >= num_segments {
                        return None;
                    }
                    ends.push(data.len());
                }
                0xd9 => break,
                _ => return None,
            }
        }
        ends.push(data.len());
        data.extend_from_slice(&[0; PADDING]);
        (ends.len() == num_segments).then_some(Segments { data, ends })
    }
}

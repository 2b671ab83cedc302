//! Lines of JSON that are believed only whole: `<XXH3-64 of the JSON, 16 hex digits> <JSON>`.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const CHECKSUM_DIGITS: usize = 16;

/// Appends the line of `value` to `out`. Lines of another `seed` look damaged.
///
/// # Errors
/// A value that JSON cannot hold, as a path that is not UTF-8; `out` is then as it was.
pub(crate) fn write(value: &impl Serialize, seed: u64, out: &mut Vec<u8>) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    write!(out, "{:016x} ", xxh3_64_with_seed(&json, seed))?;
    out.extend_from_slice(&json);
    out.push(b'\n');
    Ok(())
}

/// Reads a line without its newline. `None` when any byte is not what was written.
pub(crate) fn parse<'a, T: Deserialize<'a>>(line: &'a [u8], seed: u64) -> Option<T> {
    let (checksum, json) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    let checksum = u64::from_str_radix(std::str::from_utf8(checksum).ok()?, 16).ok()?;
    (checksum == xxh3_64_with_seed(json, seed)).then(|| serde_json::from_slice(json).ok())?
}

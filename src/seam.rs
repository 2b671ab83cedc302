//! Errors of the C++ functions in `native/`.

use std::ffi::{CStr, c_char};

use crate::error::{Error, Result};

/// What a failure says, longer texts cut.
const MESSAGE_BYTES: usize = 1024;

/// Calls a function that calls `library`, with a buffer, and its size, for what it says when it fails.
///
/// # Errors
/// [`Error::Internal`] with the first line of its words.
pub(crate) fn checked(library: &str, call: impl FnOnce(*mut c_char, usize) -> bool) -> Result<()> {
    let mut message = [0u8; MESSAGE_BYTES];
    if call(message.as_mut_ptr().cast(), message.len()) {
        return Ok(());
    }
    let message = CStr::from_bytes_until_nul(&message).unwrap_or_default().to_string_lossy();
    let first = message.lines().next().unwrap_or_default();
    Err(Error::Internal(format!("{library}: {first}")))
}

//! The end of what a thread does until it is told to end.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the flag also when the test fails, whose scope would otherwise wait for the thread for ever.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

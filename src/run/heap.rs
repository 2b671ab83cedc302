//! Memory that was freed but is still held.

/// Gives it back to the operating system, as far as the C library can; nothing without the `torch`
/// feature. A thread's heap otherwise stays as large as it ever was, also when the thread has ended.
pub fn trim() {
    #[cfg(feature = "torch")]
    trim_of_libc();
}

#[cfg(feature = "torch")]
#[allow(unsafe_code)]
fn trim_of_libc() {
    // native/heap.cpp
    unsafe extern "C" {
        fn ec2train_heap_trim();
    }
    // SAFETY: takes nothing, and may be called at any time by any thread.
    unsafe { ec2train_heap_trim() }
}

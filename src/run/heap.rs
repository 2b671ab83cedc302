//! Memory that was freed but is still held.

/// Gives it back to the operating system, as far as the C library can; nothing without the `native`
/// feature. A thread's heap otherwise stays as large as it ever was, also when the thread has ended.
pub fn trim() {
    #[cfg(feature = "native")]
    trim_of_libc();
}

/// From now on freed memory is kept until [`trim`]. Otherwise libtorch's results, megabytes each, come from
/// the operating system anew for every convolution, page by page.
#[cfg(feature = "torch")]
#[allow(unsafe_code)]
pub fn keep() {
    // SAFETY: takes nothing, and may be called at any time by any thread.
    unsafe { ec2train_heap_keep() }
}

// native/heap.cpp
#[cfg(feature = "native")]
#[allow(unsafe_code)]
unsafe extern "C" {
    fn ec2train_heap_trim();
    #[cfg(feature = "torch")]
    fn ec2train_heap_keep();
}

#[cfg(feature = "native")]
#[allow(unsafe_code)]
fn trim_of_libc() {
    // SAFETY: takes nothing, and may be called at any time by any thread.
    unsafe { ec2train_heap_trim() }
}

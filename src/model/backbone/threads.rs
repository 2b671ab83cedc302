//! Computing on one thread, whatever libtorch is set to.

use crate::error::Result;

/// Runs `compute` without autograd and with one libtorch thread, for which the weights are packed:
/// for another number oneDNN may prefer another layout and would repack them in every call. The
/// calling thread has its former number afterwards.
pub(super) fn with_one_thread<T>(compute: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = tch::get_num_threads();
    tch::set_num_threads(1);
    let result = tch::no_grad(compute);
    tch::set_num_threads(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calling_thread_keeps_its_number_of_threads() {
        tch::set_num_threads(2);
        assert_eq!(with_one_thread(|| Ok(tch::get_num_threads())).unwrap(), 1);
        assert_eq!(tch::get_num_threads(), 2);
    }
}

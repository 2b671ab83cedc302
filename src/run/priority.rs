//! Which threads come first.

/// The least that there is.
const LOWEST: i32 = 19;

/// From now on the calling thread computes where a core would have nothing else to do. Some systems do not
/// allow it: it then competes with the others.
pub fn lower() {
    // On Linux it is a thread that has a priority, and none that is named means the caller.
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST) {
        log::debug!("a thread keeps its priority: {error}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_calling_thread_steps_back() {
        let before = getpriority_process(None).unwrap();
        let lowered = thread::spawn(|| {
            lower();
            getpriority_process(None).unwrap()
        });
        assert_eq!(lowered.join().unwrap(), LOWEST);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}

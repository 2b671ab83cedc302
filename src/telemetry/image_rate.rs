//! How fast images become features.

use std::time::{Duration, Instant};

/// Images come by the chunk, from several workers: over less time than this their rate jumps about.
const WINDOW: Duration = Duration::from_secs(2);

/// Counts images until their rate is told.
#[derive(Debug)]
pub(super) struct ImageRate {
    since: Instant,
    until: Instant,
    num_images: usize,
    /// No more will come in this stage.
    is_complete: bool,
}

impl ImageRate {
    pub(super) fn new(now: Instant) -> Self {
        ImageRate { since: now, until: now, num_images: 0, is_complete: false }
    }

    pub(super) fn add(&mut self, num_images: usize, now: Instant) {
        self.until = now;
        self.num_images += num_images;
    }

    /// Counts from now on, unless images of the stage before have not been told.
    pub(super) fn begin_stage(&mut self, now: Instant) {
        if self.num_images == 0 {
            *self = ImageRate::new(now);
        } else {
            self.is_complete = true;
        }
    }

    /// Images a second since it was told before, if it is time to tell.
    pub(super) fn take(&mut self) -> Option<f64> {
        let duration = self.until - self.since;
        if self.num_images == 0 || (duration < WINDOW && !self.is_complete) {
            return None;
        }
        let rate = self.num_images as f64 / duration.as_secs_f64();
        (self.since, self.num_images) = (self.until, 0);
        Some(rate).filter(|rate| rate.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_counts_once_up_to_the_last() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_millis((1e3 * seconds) as u64);
        let mut rate = ImageRate::new(start);
        rate.begin_stage(at(1.0));
        assert_eq!(rate.take(), None);
        rate.add(16, at(2.0));
        assert_eq!(rate.take(), None);
        rate.add(16, at(3.0));
        assert_eq!(rate.take(), Some(16.0));
        assert_eq!(rate.take(), None);
        // The rest, although the next stage has begun.
        rate.add(8, at(3.5));
        rate.begin_stage(at(3.6));
        assert_eq!(rate.take(), Some(16.0));
        rate.begin_stage(at(9.0));
        rate.add(20, at(19.0));
        assert_eq!(rate.take(), Some(2.0));
    }
}

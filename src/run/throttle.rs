//! Notices when the hypervisor holds the machine back.

use std::collections::VecDeque;

use crate::config::{THROTTLED_SECONDS, THROTTLED_STEAL};
use crate::run::cpu_time::CpuCounters;

/// Looks at the CPU time that was stolen over the last [`THROTTLED_SECONDS`]. On a T instance that
/// has used up its credits it is what lies above the baseline.
#[derive(Debug, Default)]
pub struct Throttle {
    /// The oldest is at least as old as the window, once there is one that old.
    samples: VecDeque<CpuCounters>,
    reported: bool,
}

/// How far the machine is held back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throttled {
    /// Part of all CPU time that was stolen, 0 to 1.
    pub steal: f64,
    /// Over how many seconds.
    pub seconds: f64,
}

impl Throttle {
    /// Takes the counters of this moment. Tells the first time, and only then, that too much was
    /// stolen. The seconds are those that the counters have counted, so a process that was itself
    /// stopped for a while is not misled.
    pub fn sample(&mut self, now: CpuCounters) -> Option<Throttled> {
        let is_old_enough = |sample: &CpuCounters| now.seconds_since(*sample) >= THROTTLED_SECONDS;
        while self.samples.get(1).is_some_and(is_old_enough) {
            self.samples.pop_front();
        }
        let oldest = self.samples.front().copied().filter(is_old_enough);
        self.samples.push_back(now);
        let oldest = oldest.filter(|_| !self.reported)?;
        let steal = now.since(oldest).steal;
        self.reported = steal > THROTTLED_STEAL;
        self.reported.then(|| Throttled { steal, seconds: now.seconds_since(oldest) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CPUs after `seconds`, of which this part was stolen throughout.
    fn counters(seconds: u64, steal: f64) -> CpuCounters {
        let total = 200 * seconds;
        let stolen = (total as f64 * steal) as u64;
        let busy = total - stolen;
        CpuCounters::parse(&format!("cpu  {busy} 0 0 0 0 0 0 {stolen} 0 0\ncpu0 1\ncpu1 1\n"))
    }

    #[test]
    fn it_is_told_once_with_the_figure() {
        let mut throttle = Throttle::default();
        let told: Vec<(u64, Throttled)> = (0..40)
            .filter_map(|i| Some((5 * i, throttle.sample(counters(5 * i, 0.78))?)))
            .collect();
        let [(seconds, throttled)] = told[..] else { panic!("{told:?}") };
        assert_eq!((seconds, throttled.seconds), (30, 30.0));
        assert!((throttled.steal - 0.78).abs() < 1e-3, "{throttled:?}");
    }

    #[test]
    fn a_little_steal_or_a_short_burst_is_nothing() {
        let mut throttle = Throttle::default();
        assert!((0..40).all(|i| throttle.sample(counters(5 * i, 0.05)).is_none()));
        // 2 s at 100 % within half a minute.
        let mut throttle = Throttle::default();
        let burst = |i: u64| if i < 3 { 0.0 } else { 2.0 / (5 * i) as f64 };
        assert!((0..20).all(|i| throttle.sample(counters(5 * i, burst(i))).is_none()));
    }

    #[test]
    fn only_the_last_half_minute_counts() {
        let mut throttle = Throttle::default();
        assert!((0..100).all(|i| throttle.sample(counters(5 * i, 0.0)).is_none()));
        // From here on half of the time is stolen: 12 % of a window after the second sample.
        let told: Vec<u64> = (100..110)
            .filter(|i| {
                let stolen = 5.0 * (i - 99) as f64 * 0.5;
                throttle.sample(counters(5 * i, stolen / (5 * i) as f64)).is_some()
            })
            .collect();
        assert_eq!(told, [101]);
    }

    #[test]
    fn without_counters_nothing_is_told() {
        let mut throttle = Throttle::default();
        assert!((0..40).all(|_| throttle.sample(CpuCounters::default()).is_none()));
    }
}

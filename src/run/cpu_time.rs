//! What the machine's CPUs spend their time on.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Parts of the CPU time of all CPUs, between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CpuTime {
    /// Neither idle nor waiting nor stolen.
    pub busy: f64,
    /// Taken by other virtual machines while there was work to do here.
    pub steal: f64,
    /// Idle while something waited for a disk.
    pub iowait: f64,
}

/// As in `CPU 97 % busy, 1 % stolen, 0 % waiting for disks`.
impl fmt::Display for CpuTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CPU {:.0} % busy, {:.0} % stolen, {:.0} % waiting for disks",
            100.0 * self.busy,
            100.0 * self.steal,
            100.0 * self.iowait
        )
    }
}

/// The counters of `/proc/stat` at one moment, in ticks of all CPUs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuCounters {
    /// CPUs of the machine, whether this process may use them or not.
    num_cpus: usize,
    total: u64,
    idle: u64,
    iowait: u64,
    steal: u64,
}

impl CpuCounters {
    /// As they are now; zeros where there is no `/proc/stat`.
    pub fn now() -> Self {
        Self::read("/proc/stat".as_ref())
    }

    /// As a file in the format of `/proc/stat` has them; zeros where there is none.
    pub fn read(path: &Path) -> Self {
        Self::parse(&fs::read_to_string(path).unwrap_or_default())
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal; guests' time is part
    /// of user's. Then a line for each CPU, as in `cpu0`.
    pub(super) fn parse(stat: &str) -> Self {
        let is_cpu = |line: &&str| line.strip_prefix("cpu").is_some_and(|n| !n.starts_with(' '));
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        let mut counters = [0; 8];
        for (counter, field) in counters.iter_mut().zip(line.split_whitespace()) {
            *counter = field.parse().unwrap_or(0);
        }
        CpuCounters {
            num_cpus: stat.lines().filter(is_cpu).count(),
            total: counters.iter().sum(),
            idle: counters[3],
            iowait: counters[4],
            steal: counters[7],
        }
    }

    /// CPUs of the machine.
    pub fn num_cpus(self) -> usize {
        self.num_cpus
    }

    /// How long these counters have counted since.
    pub fn seconds_since(self, before: CpuCounters) -> f64 {
        let ticks = self.total.saturating_sub(before.total) as f64;
        ticks / (rustix::param::clock_ticks_per_second() as f64 * self.num_cpus.max(1) as f64)
    }

    /// What happened since. Zeros when no time has passed.
    pub fn since(self, before: CpuCounters) -> CpuTime {
        // The kernel lets idle and iowait go back by a tick now and then.
        let passed = |of: fn(Self) -> u64| of(self).saturating_sub(of(before));
        let (steal, iowait) =
            (passed(|counters| counters.steal), passed(|counters| counters.iowait));
        let busy = passed(Self::busy);
        let total = (busy + steal + iowait + passed(|counters| counters.idle)).max(1) as f64;
        let part = |ticks: u64| ticks as f64 / total;
        CpuTime { busy: part(busy), steal: part(steal), iowait: part(iowait) }
    }

    fn busy(self) -> u64 {
        self.total - self.idle - self.iowait - self.steal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_taken_between_two_moments() {
        let before = CpuCounters::parse("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n");
        let after = CpuCounters::parse("cpu  150 0 60 820 60 0 0 10 0 0\ncpu0 1 2 3\n");
        let time = after.since(before);
        assert!((time.busy - 0.60).abs() < 1e-12, "{time:?}");
        assert!((time.steal - 0.10).abs() < 1e-12, "{time:?}");
        assert!((time.iowait - 0.10).abs() < 1e-12, "{time:?}");
        assert_eq!(before.since(before), CpuTime::default());
        let back = CpuCounters::parse("cpu  160 0 60 819 59 0 0 10 0 0\ncpu0 1 2 3\n");
        assert_eq!(back.since(after), CpuTime { busy: 1.0, ..CpuTime::default() });
        assert_eq!(time.to_string(), "CPU 60 % busy, 10 % stolen, 10 % waiting for disks");
        // 100 ticks of one CPU, a hundred to the second.
        assert!((after.seconds_since(before) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn counters_of_this_machine_grow() {
        assert!(CpuCounters::now().total > 0);
        assert!(CpuCounters::now().num_cpus() > 0);
    }
}

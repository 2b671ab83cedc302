//! The machine a run happens on.

use std::fs;
use std::num::NonZero;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::run::ec2::instance::Instance;

/// What a result has to be read with: the same program differs from CPU to CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// As in `/proc/cpuinfo`.
    pub cpu_model: String,
    /// CPUs this process may use; the number of workers.
    pub num_cpus: usize,
    /// All of the machine's memory.
    pub memory_bytes: u64,
    /// Of EC2, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

impl Host {
    /// Reads it from the running system. What cannot be read is "unknown" or zero. The instance is
    /// left to [`crate::run::watch`], which need not wait for it.
    pub fn detect() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Host {
            cpu_model: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            num_cpus: num_cpus(),
            memory_bytes: kib(&meminfo, "MemTotal").unwrap_or(0) * 1024,
            instance: None,
        }
    }
}

/// Instructions that decide on the speed of a training.
const INSTRUCTIONS: [&str; 8] =
    ["avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"];

/// The instructions of this CPU that decide on the speed of a training, as `/proc/cpuinfo` calls
/// them.
pub fn instructions() -> Vec<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags: Vec<&str> = field(&cpuinfo, "flags").unwrap_or_default().split(' ').collect();
    INSTRUCTIONS.iter().filter(|name| flags.contains(name)).map(ToString::to_string).collect()
}

/// CPUs this process may use, as its affinity and cgroup say.
pub fn num_cpus() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// The most memory this process ever had resident.
pub fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib(&status, "VmHWM").unwrap_or(0) * 1024
}

/// The memory that this process has resident now.
pub fn resident_memory_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let num_pages = statm.split(' ').nth(1).and_then(|field| field.parse::<u64>().ok());
    num_pages.unwrap_or(0) * rustix::param::page_size() as u64
}

fn kib(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.strip_suffix("kB")?.trim().parse().ok()
}

/// The value of the first `name : value` line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files_are_found() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nMemTotal:       24576 kB\n";
        assert_eq!(field(text, "model name"), Some("AMD EPYC"));
        assert_eq!(kib(text, "MemTotal"), Some(24576));
        assert_eq!(field(text, "flags"), None);
    }

    #[test]
    fn this_process_has_cpus_and_memory() {
        let host = Host::detect();
        assert!(host.num_cpus >= 1);
        assert!(host.memory_bytes > peak_memory_bytes());
        assert!(peak_memory_bytes() > 1 << 20);
        // The kernel updates its counters of memory now and then.
        let resident = resident_memory_bytes() as f64;
        assert!(resident > 1e6 && resident < 1.5 * peak_memory_bytes() as f64, "{resident}");
    }
}

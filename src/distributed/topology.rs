//! Which process of how many this is, and where they meet.

use std::time::Duration;

use crate::config::{HEARTBEAT_TIMEOUT, MASTER_PORT};
use crate::error::{Error, Result};

/// What `torchrun` gives every process it starts; two ssh sessions give the same.
const TORCHRUN: [&str; 4] = ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"];
/// What the sagemaker-training toolkit gives.
const SAGEMAKER: [&str; 2] = ["SM_HOSTS", "SM_CURRENT_HOST"];
/// Overrides [`HEARTBEAT_TIMEOUT`].
const TIMEOUT: &str = "EC2TRAIN_HEARTBEAT_TIMEOUT_S";

/// This process's place among those that train one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// From 0. The process with rank 0 writes the model.
    pub rank: usize,
    /// Processes in all. With one, everything is as without a topology.
    pub world_size: usize,
    /// Name or address of the machine of rank 0.
    pub master_addr: String,
    /// On which rank 0 waits for the others.
    pub master_port: u16,
    /// What the others call this machine in their logs.
    pub host: String,
    /// From 0, among the processes on this machine.
    pub local_rank: usize,
    /// Processes on this machine, which share its cores.
    pub local_world_size: usize,
    /// Whether `torchrun` itself waits at that port, for rank 0 as for the others.
    pub has_agent: bool,
    /// Tells a start by `torchrun` from the ones before it, which used the same store.
    pub attempt: String,
    /// How long a process may be silent before it counts as lost.
    pub heartbeat_timeout: Duration,
}

impl Topology {
    /// One process.
    pub fn single() -> Self {
        Topology {
            rank: 0,
            world_size: 1,
            master_addr: "localhost".into(),
            master_port: MASTER_PORT,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            local_rank: 0,
            local_world_size: 1,
            has_agent: false,
            attempt: "0".into(),
            heartbeat_timeout: HEARTBEAT_TIMEOUT,
        }
    }

    /// As SageMaker has it: the rank is the place of `current` among the sorted `hosts`, of which the
    /// first waits for the others at [`MASTER_PORT`].
    ///
    /// # Errors
    /// [`Error::Usage`] when `current` is not one of `hosts`, or one is named twice.
    pub fn of_hosts(hosts: &[String], current: &str) -> Result<Self> {
        let mut sorted = hosts.to_vec();
        sorted.sort();
        let remedy =
            "SageMaker gives both in resourceconfig.json, as SM_HOSTS and SM_CURRENT_HOST.";
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(usage(format!("the hosts {hosts:?} name one twice"), remedy));
        }
        let Some(rank) = sorted.iter().position(|host| host == current) else {
            return Err(usage(format!("{current:?} is not among the hosts {hosts:?}"), remedy));
        };
        Ok(Topology {
            rank,
            world_size: sorted.len(),
            master_addr: sorted.swap_remove(0),
            host: current.to_owned(),
            ..Topology::single()
        })
    }

    /// As the environment has it: `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, or `SM_HOSTS`
    /// and `SM_CURRENT_HOST`; one process without any of them.
    ///
    /// # Errors
    /// [`Error::Usage`] when some of them are set and others are not, or one cannot be understood.
    pub fn from_env() -> Result<Self> {
        Topology::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut topology = if let Some([rank, world_size, master_addr, master_port]) =
            all_or_none(TORCHRUN, get)?
        {
            let topology = Topology {
                rank: number("RANK", &rank)?,
                world_size: number("WORLD_SIZE", &world_size)?,
                master_addr,
                master_port: number("MASTER_PORT", &master_port)?,
                local_rank: optional("LOCAL_RANK", get)?.unwrap_or(0),
                local_world_size: optional("LOCAL_WORLD_SIZE", get)?.unwrap_or(1),
                has_agent: get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"),
                attempt: get("TORCHELASTIC_RESTART_COUNT").unwrap_or_else(|| "0".into()),
                ..Topology::single()
            };
            require_below("RANK", topology.rank, "WORLD_SIZE", topology.world_size)?;
            let (local_rank, local_world_size) = (topology.local_rank, topology.local_world_size);
            require_below("LOCAL_RANK", local_rank, "LOCAL_WORLD_SIZE", local_world_size)?;
            topology
        } else if let Some([hosts, current]) = all_or_none(SAGEMAKER, get)? {
            let hosts: Vec<String> = serde_json::from_str(&hosts).map_err(|error| {
                let remedy = "It is a list in JSON, as in [\"algo-1\", \"algo-2\"].";
                usage(format!("SM_HOSTS is {hosts:?}: {error}"), remedy)
            })?;
            Topology::of_hosts(&hosts, &current)?
        } else {
            Topology::single()
        };
        if let Some(seconds) = optional::<u64>(TIMEOUT, get)? {
            topology.heartbeat_timeout = Duration::from_secs(seconds).max(Duration::from_secs(1));
        }
        Ok(topology)
    }

    /// Of `num_cpus` of this machine those that are this process's. Those that share a machine divide
    /// its cores, whatever `OMP_NUM_THREADS` says: `torchrun` sets it to 1 unasked.
    pub fn share_of_cpus(&self, num_cpus: usize) -> usize {
        let extra = usize::from(self.local_rank < num_cpus % self.local_world_size);
        (num_cpus / self.local_world_size + extra).max(1)
    }
}

/// The values of all `names`, or of none.
fn all_or_none<const N: usize>(
    names: [&str; N],
    get: impl Fn(&str) -> Option<String>,
) -> Result<Option<[String; N]>> {
    let missing: Vec<&str> = names.into_iter().filter(|name| get(name).is_none()).collect();
    if missing.len() == N {
        return Ok(None);
    }
    if missing.is_empty() {
        return Ok(Some(names.map(|name| get(name).unwrap_or_default())));
    }
    let set: Vec<&str> = names.into_iter().filter(|name| !missing.contains(name)).collect();
    Err(usage(
        format!("{} set, but not {}", are(&set), missing.join(", ")),
        "Several machines train one model with all of them; one machine needs none: unset them.",
    ))
}

fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

fn optional<T: std::str::FromStr>(
    name: &str,
    get: impl Fn(&str) -> Option<String>,
) -> Result<Option<T>> {
    get(name).map(|value| number(name, &value)).transpose()
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.trim().parse().map_err(|_| {
        usage(format!("{name} is {value:?}, which is no number it can have"), "Correct it.")
    })
}

fn require_below(name: &str, value: usize, limit_name: &str, limit: usize) -> Result<()> {
    if value < limit {
        return Ok(());
    }
    let reason = format!("{name} is {value}, and {limit_name} {limit}");
    Err(usage(reason, "Ranks count from 0: the last is one less than their number."))
}

fn usage(reason: String, remedy: &str) -> Error {
    Error::Usage { reason, remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Topology> {
        Topology::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const SECOND: [(&str, &str); 4] =
        [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "29501")];

    #[test]
    fn nothing_set_is_one_process() {
        assert_eq!(of(&[]).unwrap(), Topology::single());
        assert_eq!(of(&[("RANK", "")]).unwrap(), Topology::single());
    }

    #[test]
    fn torchruns_variables_are_read() {
        let topology = of(&SECOND).unwrap();
        assert_eq!((topology.rank, topology.world_size), (1, 2));
        assert_eq!((topology.master_addr.as_str(), topology.master_port), ("a", 29501));
        assert!(!topology.has_agent);
        let agent = ("TORCHELASTIC_USE_AGENT_STORE", "True");
        assert!(of(&[&SECOND[..], &[agent]].concat()).unwrap().has_agent);
    }

    #[test]
    fn half_of_them_is_a_usage_error_that_names_both_halves() {
        for left_out in 0..SECOND.len() {
            let mut half = SECOND.to_vec();
            let (missing, _) = half.remove(left_out);
            let error = of(&half).unwrap_err();
            assert_eq!(error.exit_code(), 64);
            assert!(error.to_string().contains(&format!("but not {missing}")), "{error}");
        }
        assert_eq!(of(&[("SM_HOSTS", "[\"a\"]")]).unwrap_err().exit_code(), 64);
    }

    #[test]
    fn numbers_that_cannot_be_are_usage_errors() {
        for (name, value) in
            [("RANK", "2"), ("RANK", "-1"), ("WORLD_SIZE", "x"), ("MASTER_PORT", "70000")]
        {
            let variables: Vec<_> = SECOND
                .iter()
                .map(|&(known, old)| (known, if known == name { value } else { old }))
                .collect();
            let error = of(&variables).unwrap_err();
            assert_eq!(error.exit_code(), 64);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn ranks_of_sagemaker_follow_the_sorted_hosts() {
        let hosts = ("SM_HOSTS", r#"["algo-2", "algo-1", "algo-3"]"#);
        let topology = of(&[hosts, ("SM_CURRENT_HOST", "algo-2")]).unwrap();
        assert_eq!((topology.rank, topology.world_size), (1, 3));
        assert_eq!((topology.master_addr.as_str(), topology.host.as_str()), ("algo-1", "algo-2"));
        let error = of(&[hosts, ("SM_CURRENT_HOST", "algo-4")]).unwrap_err();
        assert_eq!(error.exit_code(), 64);
        assert!(error.to_string().contains("algo-4"), "{error}");
    }

    #[test]
    fn processes_on_one_machine_divide_its_cores() {
        for num_cpus in 1..10 {
            for local_world_size in 1..6 {
                let shares = (0..local_world_size).map(|local_rank| {
                    let topology = Topology { local_rank, local_world_size, ..Topology::single() };
                    topology.share_of_cpus(num_cpus)
                });
                assert_eq!(shares.sum::<usize>(), num_cpus.max(local_world_size));
            }
        }
    }
}

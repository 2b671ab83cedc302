//! Looks after the machine for as long as a run lasts.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::config::{SAMPLE_INTERVAL, WATCH_INTERVAL};
use crate::run::cpu_time::{CpuCounters, CpuTime};
use crate::run::ec2::cost::CostEstimate;
use crate::run::ec2::instance::Instance;
use crate::run::ec2::metadata::{MetadataService, Unavailable};
use crate::run::ec2::spot::{interruption_notice, rebalance_recommended};
use crate::run::host::resident_memory_bytes;
use crate::run::recorder::Recorder;
use crate::run::signals::{self, StopReason};
use crate::run::throttle::{Throttle, Throttled};
use crate::run::timeline::Timeline;

/// A thread that looks at the machine every [`WATCH_INTERVAL`]: warns when it is throttled, and asks
/// the run to stop when EC2 takes the instance back. In between it takes the samples of the run's
/// timeline. It ends with this value.
#[derive(Debug)]
pub struct Watch {
    proc_stat: PathBuf,
    before: CpuCounters,
    recorder: Recorder,
    /// Nothing is ever sent: the thread sees when this end is gone.
    run: Sender<()>,
    thread: JoinHandle<Option<Instance>>,
}

/// What was learnt about the machine during a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// `None` elsewhere than on EC2.
    pub instance: Option<Instance>,
    /// What the machine's CPUs did, other programs included.
    pub cpu: CpuTime,
    /// The same from moment to moment, with the stages of the run.
    pub timeline: Timeline,
    /// `None` elsewhere than on EC2, and for an instance type without a known price.
    pub estimate: Option<CostEstimate>,
}

impl Watch {
    /// Starts to watch this machine. Never waits for the network.
    pub fn start() -> Self {
        Watch::on("/proc/stat".into(), MetadataService::detect())
    }

    /// The same with another file in the place of `/proc/stat`, and this metadata service.
    pub fn on(proc_stat: PathBuf, service: Option<MetadataService>) -> Self {
        let (run, ended) = mpsc::channel();
        let before = CpuCounters::read(&proc_stat);
        let recorder = Recorder::start(before);
        let (path, samples) = (proc_stat.clone(), recorder.clone());
        let thread = thread::spawn(move || watch(&path, service.map(Ec2::new), &samples, &ended));
        Watch { proc_stat, before, recorder, run, thread }
    }

    /// Takes down the timeline of this run.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Ends the watch of a run that took this long.
    pub fn end(self, seconds: f64) -> Observed {
        drop(self.run);
        // It only panics if this program is wrong; the run's model is good all the same.
        let instance = self.thread.join().unwrap_or_default();
        let now = CpuCounters::read(&self.proc_stat);
        let cpu = now.since(self.before);
        let estimate = instance.as_ref().and_then(|instance| {
            CostEstimate::new(&instance.instance_type, seconds, now.num_cpus(), cpu.busy)
        });
        self.recorder.end(now, resident_memory_bytes());
        Observed { instance, cpu, timeline: self.recorder.timeline(), estimate }
    }
}

fn watch(
    proc_stat: &Path,
    mut ec2: Option<Ec2>,
    recorder: &Recorder,
    run: &Receiver<()>,
) -> Option<Instance> {
    let mut throttle = Throttle::default();
    let mut look_due = Instant::now();
    let mut sample_due = look_due + SAMPLE_INTERVAL;
    loop {
        if Instant::now() >= look_due {
            if let Some(ec2) = &mut ec2
                && let Err(error) = ec2.look()
            {
                // As in a container that cannot reach it: no reason to bother anyone.
                log::debug!("{error}");
            }
            if let Some(throttled) = throttle.sample(CpuCounters::read(proc_stat)) {
                warn(throttled, ec2.as_ref().and_then(|ec2| ec2.instance.as_ref()));
            }
            look_due = Instant::now() + WATCH_INTERVAL;
        }
        if Instant::now() >= sample_due {
            let next = recorder.sample(CpuCounters::read(proc_stat), resident_memory_bytes());
            sample_due = Instant::now() + next;
        }
        let pause = look_due.min(sample_due).saturating_duration_since(Instant::now());
        if run.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return ec2.and_then(|ec2| ec2.instance);
        }
    }
}

fn warn(Throttled { steal, seconds }: Throttled, instance: Option<&Instance>) {
    let reason = match instance {
        Some(instance) if instance.has_cpu_credits() => format!(
            "this {} has no CPU credits left and is not in unlimited mode, or its host is crowded",
            instance.instance_type
        ),
        _ => "other machines on the same host take it, or a limit on this one".to_owned(),
    };
    log::warn!(
        "the machine is throttled: {:.0} % of its CPU time in the last {seconds:.0} s was stolen \
         ({reason}). The run takes that much longer",
        100.0 * steal
    );
}

/// An EC2 instance that is being watched.
#[derive(Debug)]
struct Ec2 {
    service: MetadataService,
    instance: Option<Instance>,
    rebalance_reported: bool,
    stopping: bool,
}

impl Ec2 {
    fn new(service: MetadataService) -> Self {
        Ec2 { service, instance: None, rebalance_reported: false, stopping: false }
    }

    fn look(&mut self) -> Result<(), Unavailable> {
        if self.instance.is_none() {
            self.instance = Instance::read(&mut self.service)?;
            if let Some(instance) = &self.instance {
                log::info!("{instance}");
            }
        }
        if self.stopping || !self.instance.as_ref().is_some_and(Instance::may_be_interrupted) {
            return Ok(());
        }
        if let Some(notice) = interruption_notice(&mut self.service)? {
            self.stopping = true;
            log::warn!(
                "EC2 takes this spot instance back ({}) at {}: stopping. What is finished is kept, \
                 and the next start goes on from there",
                notice.action,
                notice.time
            );
            signals::request(StopReason::Spot);
        } else if !self.rebalance_reported && rebalance_recommended(&mut self.service)? {
            self.rebalance_reported = true;
            log::warn!(
                "EC2 recommends to move from this spot instance: it is likely to be taken back soon"
            );
        }
        Ok(())
    }
}

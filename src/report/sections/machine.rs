//! What the run took of the machine.

use maud::{Markup, html};

use super::Section;
use crate::error::Result;
use crate::report::format::percent;
use crate::report::plots::{cpu, memory};
use crate::report::write::RunRecord;
use crate::run::console::seconds;
use crate::run::timeline::{Stage, Timeline};

/// CPU, memory, time and cost.
pub(in crate::report) fn machine(run: &RunRecord) -> Result<Section> {
    let cost = &run.metadata.cost;
    let body = html! {
        div.plots {
            (cpu(run.timeline, cost.cpu)?)
            (memory(run.timeline, cost.peak_memory_bytes)?)
        }
        (stages(run))
        @match &cost.estimate {
            Some(estimate) => p { "In all " (estimate) ". A stage's part of it is its part of the time." },
            None => p { "There is no price for this machine: costs are told on EC2 instances." },
        }
    };
    Ok(Section { id: "machine", title: "Machine, time and cost", body })
}

fn stages(run: &RunRecord) -> Markup {
    let total = run.metadata.cost.total_seconds.max(f64::MIN_POSITIVE);
    let estimate = run.metadata.cost.estimate.as_ref();
    html! {
        div.scroll {
            table {
                caption { "Stages of the run" }
                thead {
                    tr {
                        th.number scope="col" { "No." } th scope="col" { "Stage" }
                        th.number scope="col" { "Time" } th.number scope="col" { "Part" }
                        th.number scope="col" { "CPU busy" }
                        @if estimate.is_some() { th.number scope="col" { "Cost" } }
                    }
                }
                tbody {
                    @for (number, stage) in (1..).zip(&run.timeline.stages) {
                        @let duration = stage.end_seconds - stage.start_seconds;
                        tr {
                            td.number { (number) } th scope="row" { (stage.name) }
                            td.number { (seconds(duration)) } td.number { (percent(duration / total)) }
                            td.number { (percent(mean_busy(run.timeline, stage))) }
                            @if let Some(estimate) = estimate {
                                td.number { (format!("${:.5}", estimate.usd_per_hour * duration / 3600.0)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The mean of the samples over the part of their time that is the stage's; 0 without samples.
fn mean_busy(timeline: &Timeline, stage: &Stage) -> f64 {
    let (mut start, mut time, mut busy) = (0.0f64, 0.0, 0.0);
    for sample in &timeline.samples {
        let common = sample.seconds.min(stage.end_seconds) - start.max(stage.start_seconds);
        if common > 0.0 {
            time += common;
            busy += common * sample.busy;
        }
        start = sample.seconds;
    }
    if time > 0.0 { busy / time } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::timeline::Sample;

    #[test]
    fn a_sample_counts_for_the_time_it_shares_with_the_stage() {
        let sample = |seconds, busy| Sample { seconds, busy, ..Sample::default() };
        let samples = vec![sample(1.0, 0.2), sample(3.0, 0.8), sample(4.0, 0.0)];
        let timeline = Timeline { samples, stages: Vec::new() };
        let stage = |start_seconds, end_seconds| Stage {
            name: "features".into(),
            start_seconds,
            end_seconds,
        };
        // 0.5 s at 0.2 and 1.5 s at 0.8.
        assert!((mean_busy(&timeline, &stage(0.5, 2.5)) - 0.65).abs() < 1e-12);
        assert_eq!(mean_busy(&timeline, &stage(5.0, 6.0)), 0.0);
    }
}

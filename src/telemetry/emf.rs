//! Lines in CloudWatch's embedded metric format, which become metrics when they reach CloudWatch Logs.
//!
//! The form: Amazon CloudWatch User Guide, "Specification: Embedded metric format".

use serde_json::{Map, Value, json};

use super::event::{Event, What};
use super::scalar::Unit;
use crate::job::Kind;

const NAMESPACE: &str = "ec2train";
/// Of all metrics. There is one, since each combination of values costs as a metric of its own.
const DIMENSION: &str = "Kind";

/// What all lines of a run have in common, as values that can be searched for.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) kind: Kind,
    pub(super) host: String,
    pub(super) pid: u32,
}

/// With the newline; nothing for an event without figures.
pub(super) fn line(event: &Event, origin: &Origin) -> Vec<u8> {
    let scalars = event.scalars();
    if scalars.is_empty() {
        return Vec::new();
    }
    let mut metrics = Vec::new();
    let mut values = Map::new();
    for scalar in scalars {
        let (unit, value) = in_unit(scalar.unit, scalar.value);
        metrics.push(json!({ "Name": scalar.name, "Unit": unit }));
        values.insert(scalar.name.into(), value.into());
    }
    let mut root = Map::new();
    root.insert(
        "_aws".into(),
        json!({
            "Timestamp": event.time.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[DIMENSION]],
                "Metrics": metrics,
            }],
        }),
    );
    let kind = match origin.kind {
        Kind::Real => "real",
        Kind::Sample => "sample",
    };
    root.insert(DIMENSION.into(), kind.into());
    root.insert("Host".into(), origin.host.clone().into());
    root.insert("Pid".into(), origin.pid.into());
    match &event.what {
        What::Epoch(epoch) => {
            root.insert("Epoch".into(), epoch.epoch.into());
        }
        What::Result { best_epoch, .. } => {
            root.insert("Epoch".into(), (*best_epoch).into());
        }
        What::End { exit_code, error, .. } => {
            root.insert("ExitCode".into(), (*exit_code).into());
            root.extend(error.clone().map(|error| ("Error".into(), error.into())));
        }
        What::Start { .. } | What::Stage { .. } | What::Machine { .. } => {}
    }
    root.extend(values);
    let mut line = Value::Object(root).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// As CloudWatch calls it, with the figure in it.
fn in_unit(unit: Unit, value: f64) -> (&'static str, f64) {
    match unit {
        Unit::None => ("None", value),
        Unit::Fraction => ("Percent", 100.0 * value),
        Unit::Bytes => ("Bytes", value),
        Unit::PerSecond => ("Count/Second", value),
        Unit::Seconds => ("Seconds", value),
        Unit::Count => ("Count", value),
    }
}

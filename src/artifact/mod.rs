//! What a training leaves in TrainedModels.
//!
//! ```text
//! TrainedModels/
//! ├── runs/20261125T031500.123Z/     one folder per training: model.pth, model.json, history.jsonl,
//! │                                  metrics.jsonl, metrics.emf.jsonl, events.out.tfevents.*,
//! │                                  report.html
//! ├── current -> runs/20261125T...   one rename moves it from one pair to the next
//! ├── model.pth -> current/model.pth
//! ├── model.json -> current/model.json
//! ├── history.jsonl -> current/history.jsonl
//! ├── metrics.jsonl -> current/metrics.jsonl
//! └── report.html -> current/report.html
//! ```

mod draft;
mod fingerprint;
mod gate;
mod links;
mod load;
mod metadata;
mod names;
mod publish;
mod retention;
mod save;

pub use draft::Draft;
pub use gate::{Verdict, judge};
pub use load::{Standing, TrainedModel, load, load_metadata, load_standing, model_path, standing};
pub use metadata::{BackboneOrigin, Cost, DataSummary, Metadata, SplitMetrics, Transform};
pub use names::{HISTORY_FILE, METADATA_FILE, METRICS_FILE, MODEL_FILE, REPORT_FILE, runs_dir};
pub use publish::publish;
pub use save::saved_bytes;

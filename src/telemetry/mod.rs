//! What a run tells to other programs while it goes on, and leaves for them.
//!
//! ```text
//! TrainedModels/
//! ├── runs/live/                metrics.jsonl, events.out.tfevents.*: of the run that goes on
//! ├── runs/20261125T.../        the same of a finished one, and metrics.emf.jsonl
//! └── log/metrics.emf.jsonl     of all runs, for an agent that follows it
//! ```

mod emf;
mod event;
mod image_rate;
mod journal;
mod live_file;
mod scalar;
mod tensorboard;

pub use event::{Event, What};
pub use journal::{Journal, live_metrics_path};

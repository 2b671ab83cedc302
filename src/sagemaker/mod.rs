//! What SageMaker expects of a container: `train` makes a model, `serve` answers with it.
//!
//! ```text
//! /opt/ml/
//! ├── input/config/hyperparameters.json    all values are strings
//! ├── input/config/inputdataconfig.json    the channels and how they arrive
//! ├── input/config/resourceconfig.json     the hosts of the job
//! ├── input/data/<channel>/                read-only: images, and weights where they are a channel
//! ├── checkpoints/                         kept in S3 by SageMaker: what a stopped job goes on from
//! ├── model/                               becomes model.tar.gz: model.pth, model.json
//! └── output/data/, output/failure         becomes output.tar.gz; why the job failed
//! ```

mod channels;
mod checkpoints;
mod cli;
mod config_file;
mod failure;
mod hyperparameters;
mod layout;
mod outputs;
mod resources;
#[cfg(feature = "serve")]
mod serve;
mod train;
mod weights;

pub use cli::run;
pub use resources::Resources;

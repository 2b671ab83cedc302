//! `train`: one job from its channels to its model.

use std::env;
use std::fs;
use std::path::Path;

use clap::ArgMatches;

use super::layout::Layout;
use super::resources::Resources;
use super::{channels, checkpoints, failure, hyperparameters, outputs, weights};
use crate::artifact;
use crate::atomic_file;
use crate::config::{EXPECTED_NUM_CLASSES, LIVE_DIR};
use crate::disk_space;
use crate::distributed::Topology;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::pipeline;
use crate::run::signals;

/// Below the folder of checkpoints: weights that had to be downloaded.
const DOWNLOADED_WEIGHTS_DIR: &str = "weights";

/// Trains as the job asks, and leaves the reason where SageMaker looks for it when that fails.
///
/// # Errors
/// As [`pipeline::train`]; [`Error::Hyperparameter`]; [`Error::InputMissing`] without a channel.
pub(super) fn run(arguments: Result<&ArgMatches>) -> Result<()> {
    let layout = Layout::from_env();
    failure::clear(&layout);
    failure::write_for_panics(&layout);
    let forced = layout.clone();
    signals::on_forced_end(move |reason| failure::write(&forced, &Error::Stopped(reason)));
    signals::install()
        .and_then(|()| train(arguments?, &layout))
        // A panic that was caught, as of a decoder's, failed no job.
        .inspect(|()| failure::clear(&layout))
        .inspect_err(|error| failure::write(&layout, error))
}

fn train(arguments: &ArgMatches, layout: &Layout) -> Result<()> {
    if let Ok(name) = env::var("TRAINING_JOB_NAME") {
        log::info!("training job {name}");
    }
    let hyperparameters = hyperparameters::read(arguments, layout)?;
    let resources = Resources::read(layout)?;
    let data = channels::find(layout)?;
    let scratch = atomic_file::temporary_dir_in(&env::temp_dir())?;
    let state_dir = checkpoints::dir(layout).unwrap_or_else(|| scratch.path().to_path_buf());
    let weights_path = weights::locate(layout, &state_dir.join(DOWNLOADED_WEIGHTS_DIR))?;
    require_places_for_the_model([&layout.model_dir, scratch.path()], &weights_path)?;
    let job = Job {
        data_dir: data.dir,
        split_dirs: data.split_dirs,
        weights_dir: weights_path.parent().unwrap_or(Path::new(".")).to_path_buf(),
        model_dir: scratch.path().to_path_buf(),
        state_dir: Some(state_dir),
        hyperparameters,
        ..Job::real()
    };
    let live_dir = artifact::runs_dir(&job.model_dir).join(LIVE_DIR);
    let topology = Topology::of_hosts(&resources.hosts, &resources.current_host)?;
    let trained = pipeline::train_on(&job, &topology)
        .inspect_err(|_| outputs::move_others(&live_dir, &layout.output_data_dir))?;
    let Some(trained) = trained else {
        log::info!("{} saves the model", resources.hosts[0]);
        return Ok(());
    };
    let run_dir = trained.model_path.parent().unwrap_or(&job.model_dir);
    outputs::move_model(run_dir, &layout.model_dir)?;
    outputs::move_others(run_dir, &layout.output_data_dir);
    log::info!(
        "saved {}; report and metrics are in {}",
        layout.model_dir.join(artifact::MODEL_FILE).display(),
        layout.output_data_dir.display()
    );
    Ok(())
}

/// Fails before the work, not after it, when the model could not be put where SageMaker takes it from:
/// the first of these folders. It is written into the other one before.
fn require_places_for_the_model(dirs: [&Path; 2], weights_path: &Path) -> Result<()> {
    let [model_dir, _] = dirs;
    atomic_file::create_dir(model_dir)?;
    atomic_file::remove_leftovers(model_dir)?;
    drop(atomic_file::temporary_dir_in(model_dir)?);
    let backbone_bytes = fs::metadata(weights_path).map_or(0, |metadata| metadata.len());
    let needed_bytes = artifact::saved_bytes(backbone_bytes, EXPECTED_NUM_CLASSES);
    disk_space::require_all(&dirs.map(|dir| (dir, needed_bytes)))
}

//! A machine's part in a model that another one trains.

use std::cell::Cell;

use super::extraction::{Network, Wanted, prune};
use super::report::program;
use super::sharing::Shared;
use crate::atomic_file;
use crate::data::image_folder::ImageFolder;
use crate::data::transform::EvalTransform;
use crate::disk_space;
use crate::distributed::{ProcessGroup, Topology};
use crate::error::Result;
use crate::features::collect::Collection;
use crate::features::extract::Keep;
use crate::job::{Job, Kind};
use crate::known_digests::KnownDigests;
use crate::model::backbone::Engine;
use crate::model::weights::Weights;
use crate::run::console::Progress;
use crate::run::host::Host;
use crate::run::lock::RunLock;
use crate::run::status::StatusWriter;
use crate::run::watch::Watch;
use crate::sample;

/// Computes this rank's share of the features, gives them to rank 0, and waits until the model is safe.
/// Writes to the folders of `job` only.
///
/// # Errors
/// As [`train_on`](super::train_on).
pub(super) fn contribute(job: &Job, topology: &Topology) -> Result<()> {
    atomic_file::create_dir(&job.model_dir)?;
    let _lock = RunLock::acquire(&job.model_dir)?;
    for dir in [job.model_dir.clone(), job.features_dir()] {
        atomic_file::remove_leftovers(&dir)?;
    }
    let status = StatusWriter::start(&job.model_dir);
    // It asks the run to stop when EC2 takes this machine back.
    let _watch = Watch::start();
    status.stage("waiting for the other machines", 0);
    let group = ProcessGroup::join(topology)?;
    let result = contribute_to(job, &group, &status);
    group.end(result)
}

fn contribute_to(job: &Job, group: &ProcessGroup, status: &StatusWriter) -> Result<()> {
    log::info!(
        "{} on {}, rank {} of {}",
        program(),
        Host::detect().cpu_model,
        group.rank(),
        group.world_size()
    );
    if job.kind == Kind::Sample {
        group.meet()?;
        sample::ensure(&job.data_dir, &job.weights_dir)?;
    }
    status.stage("reading the folders", 0);
    let folder = ImageFolder::scan_splits(&job.data_dir, &job.split_dirs)?;
    let digests = KnownDigests::open(&job.digests_path());
    let weights = Weights::locate(&job.weights_dir, job.weights_file, &digests)?;
    let shared = Shared::agree(group, &folder, &weights, Engine::fastest(), job.num_workers)?;
    let network = Network {
        fingerprint: weights.sha256.clone(),
        open: &|| weights.open(),
        keep: Keep::Features,
        packed: Cell::default(),
        drafting: None,
    };
    let transform = EvalTransform::imagenet(weights.resize);
    let wanted = Wanted::of(&folder, &network, shared.engine, transform)?;
    let mut collection = Collection::open(&job.features_dir(), &wanted.recipe)?;
    prune(job, &wanted.recipe, &weights.sha256)?;

    let division = shared.divide(collection.stored(&wanted.requests))?;
    division.log();
    disk_space::require(&job.model_dir, collection.bytes(division.num_views_to_compute(&wanted)))?;
    let num_missing = division.num_to_compute();
    status.stage("features", num_missing);
    let mut progress = Progress::new("features", "images", num_missing as u64);
    let backbone = || network.pack(shared.engine);
    let found = division.compute(&mut collection, &wanted, backbone, |done| {
        progress.inc(done as u64);
        status.inc(done);
        Ok(())
    })?;
    progress.finish();
    status.stage("waiting for the other machines", 0);
    division.bring_together(&collection, &wanted, found)?;
    status.stage("waiting for rank 0", 0);
    group.wait_for_rank_0()?;
    log::info!("{} has the model", group.name_of(0));
    Ok(())
}

//! The worker loop: image files to features, a chunk at a time.
//!
//! Each worker takes a chunk from file to features on its own core, with one libtorch thread: no
//! queue between decoding and computing, nothing to balance. Every chunk is computed in a batch of
//! the same size, so an image's features do not depend on its neighbours, nor on which worker
//! computed them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::config::{CHUNK, NUM_FEATURES};
use crate::data::decode::decode;
use crate::data::transform::{EvalTransform, Scratch};
use crate::error::{Action, Error, Result};
use crate::model::backbone::Backbone;
use crate::model::head::to_vec;

/// What became of an image file.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its features were computed.
    Used {
        /// `[2048]` f32.
        features: Vec<f32>,
        /// BLAKE3 of the file: equal for the same image under two names.
        content: blake3::Hash,
        /// What is wrong with the file, although it could be used.
        warning: Option<String>,
    },
    /// It cannot be read or decoded, for this reason.
    Skipped(String),
}

/// Computes the features of `paths` on `num_workers` threads; the outcomes are in the order of the
/// paths. `on_progress` is called with the number of images just done.
///
/// # Errors
/// When libtorch fails. A file that cannot be used is no error but [`Outcome::Skipped`].
pub fn extract(
    paths: &[&Path],
    transform: &EvalTransform,
    backbone: &Backbone,
    num_workers: usize,
    mut on_progress: impl FnMut(usize),
) -> Result<Vec<Outcome>> {
    // A single picture need not pay for a whole chunk.
    let chunk_len = CHUNK.min(paths.len().max(1));
    let chunks: Vec<&[&Path]> = paths.chunks(chunk_len).collect();
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();

    let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); chunks.len()];
    let mut first_error = None;
    thread::scope(|scope| {
        for _ in 0..num_workers.clamp(1, chunks.len().max(1)) {
            let backbone = backbone.share();
            let (chunks, next, failed, sender) = (&chunks, &next, &failed, sender.clone());
            scope.spawn(move || {
                tch::set_num_threads(1);
                let mut worker = Worker::new(transform, backbone, chunk_len);
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(index) else { break };
                    let result = worker.extract_chunk(chunk);
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    if sender.send((index, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (index, result) in receiver {
            match result {
                Ok(chunk) => {
                    on_progress(chunk.len());
                    outcomes[index] = chunk;
                }
                Err(error) => first_error = first_error.take().or(Some(error)),
            }
        }
    });
    first_error.map_or_else(|| Ok(outcomes.into_iter().flatten().collect()), Err)
}

/// What a thread needs to compute chunks without allocating for each image.
struct Worker<'a> {
    transform: &'a EvalTransform,
    backbone: Backbone,
    scratch: Scratch,
    /// `[chunk, 224, 224, 3]` f32, normalized.
    pixels: Vec<f32>,
}

impl<'a> Worker<'a> {
    fn new(transform: &'a EvalTransform, backbone: Backbone, chunk_len: usize) -> Self {
        let pixels = vec![0.0; chunk_len * transform.output_len()];
        Worker { transform, backbone, scratch: Scratch::default(), pixels }
    }

    fn extract_chunk(&mut self, paths: &[&Path]) -> Result<Vec<Outcome>> {
        let image_len = self.transform.output_len();
        let mut outcomes = Vec::with_capacity(paths.len());
        for (path, pixels) in paths.iter().zip(self.pixels.chunks_exact_mut(image_len)) {
            outcomes.push(match load(path, self.transform, &mut self.scratch, pixels) {
                Ok((content, warning)) => Outcome::Used { features: Vec::new(), content, warning },
                Err(error) => Outcome::Skipped(error.reason()),
            });
        }
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Skipped(_))) {
            return Ok(outcomes);
        }
        let rows = to_vec(&self.backbone.forward(&self.pixels)?)?; // [chunk, 2048]
        for (outcome, row) in outcomes.iter_mut().zip(rows.chunks_exact(NUM_FEATURES)) {
            if let Outcome::Used { features, .. } = outcome {
                *features = row.to_vec();
            }
        }
        Ok(outcomes)
    }
}

/// Reads, decodes and transforms one file into `pixels`.
fn load(
    path: &Path,
    transform: &EvalTransform,
    scratch: &mut Scratch,
    pixels: &mut [f32],
) -> Result<(blake3::Hash, Option<String>)> {
    let bytes = fs::read(path).map_err(Error::io(Action::Read, path))?;
    let decoded = decode(path, &bytes)?;
    transform.apply(&decoded.image, scratch, pixels);
    Ok((blake3::hash(&bytes), decoded.warning))
}

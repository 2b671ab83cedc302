//! The worker loop: image files to features, a chunk at a time.
//!
//! Each worker takes a chunk from file to features on its own core: no queue between decoding and
//! computing, nothing to balance. An image's features do not depend on its neighbours, nor on which
//! worker computed them.

use std::fs::Metadata;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::SystemTime;

use image::RgbImage;

use crate::config::{CHUNK, NUM_FEATURES};
use crate::data::decode::{MAX_ALLOC_BYTES, decode, decode_section};
use crate::data::image_file::{self, ImageFile};
use crate::data::resize::Scratch;
use crate::data::view::Views;
use crate::error::Result;
use crate::model::backbone::{self, Backbone};
use crate::model::resnet::LAYER4_INPUT_LEN;
use crate::run::signals;

/// Chunks that may wait for `on_outcome`, 64 KiB each: it may be slower than the workers, as when it
/// writes to a pager.
const MAX_WAITING: usize = 64;

/// An image file whose features are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The file.
    pub path: &'a Path,
    /// Views 0 to `num_views - 1` are wanted.
    pub num_views: u32,
}

/// What became of an image file.
#[derive(Debug)]
pub enum Outcome {
    /// It is an image.
    Used(Box<Used>),
    /// It cannot be read or decoded, for this reason.
    Skipped(String),
}

/// What was found in a file and computed from it.
#[derive(Debug)]
pub struct Used {
    /// BLAKE3 of the file: equal for the same image under two names.
    pub content: blake3::Hash,
    /// What is wrong with the file, although it could be used.
    pub warning: Option<String>,
    /// Of the file, from before it was read.
    pub metadata: Metadata,
    /// When it was read.
    pub read_at: SystemTime,
    /// Numbers of the views that were not known before, with their features, `[2048]` f32.
    pub views: Vec<(u32, Vec<f32>)>,
    /// Layer4's input for each of these views, `[14, 14, 1024]` in the bits of bf16; empty where it
    /// was not asked for.
    pub activations: Vec<Vec<u16>>,
}

/// Computes features on `num_workers` threads. `is_known` tells which views of which content need
/// not be computed. `on_outcome` is called on this thread with the index of each request, in no
/// particular order.
///
/// # Errors
/// The first error of `on_outcome`, after which no further file is begun; libtorch's;
/// [`Error::Stopped`](crate::error::Error::Stopped) once the chunks that are being computed have been reported. A file that cannot
/// be used is no error but [`Outcome::Skipped`].
pub fn extract(
    requests: &[Request],
    is_known: impl Fn(&blake3::Hash, u32) -> bool + Sync,
    views: &dyn Views,
    backbone: &Backbone,
    num_workers: usize,
    on_outcome: impl FnMut(usize, Outcome) -> Result<()>,
) -> Result<()> {
    let keep = Keep::Features;
    extract_and_keep(keep, requests, is_known, views, backbone, num_workers, on_outcome)
}

/// What is kept of an image on its way through the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Its features.
    Features,
    /// Layer4's input too.
    Activations,
}

/// [`extract`], keeping as much as `keep` says.
///
/// # Errors
/// As [`extract`].
pub fn extract_and_keep(
    keep: Keep,
    requests: &[Request],
    is_known: impl Fn(&blake3::Hash, u32) -> bool + Sync,
    views: &dyn Views,
    backbone: &Backbone,
    num_workers: usize,
    mut on_outcome: impl FnMut(usize, Outcome) -> Result<()>,
) -> Result<()> {
    let chunks = chunks(requests.len(), num_workers);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(MAX_WAITING);

    let mut result = Ok(());
    thread::scope(|scope| {
        for _ in 0..num_workers.clamp(1, chunks.len().max(1)) {
            let mut worker = Worker::new(keep, views, backbone.worker(), &is_known);
            let (chunks, next, failed, sender) = (&chunks, &next, &failed, sender.clone());
            scope.spawn(move || {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(index) else { break };
                    let outcomes = worker.extract_chunk(&requests[chunk.clone()]);
                    if sender.send((chunk.start, outcomes)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (first, outcomes) in receiver {
            let reported = outcomes.and_then(|outcomes| {
                (first..).zip(outcomes).try_for_each(|(index, outcome)| on_outcome(index, outcome))
            });
            if result.is_ok() && reported.is_err() {
                failed.store(true, Ordering::Relaxed);
                result = reported;
            }
        }
    });
    result
}

/// Whole chunks, and what is left shared out evenly, so that no worker waits long for another at the
/// end: half a second's work when ten images of a data set are new.
fn chunks(num_requests: usize, num_workers: usize) -> Vec<Range<usize>> {
    let num_workers = num_workers.max(1);
    let round = CHUNK * num_workers;
    let num_whole = num_requests / round * round;
    let share = (num_requests - num_whole).div_ceil(num_workers).max(1);
    let divide = |range: Range<usize>, len: usize| {
        let end = range.end;
        range.step_by(len).map(move |first| first..end.min(first + len))
    };
    divide(0..num_whole, CHUNK).chain(divide(num_whole..num_requests, share)).collect()
}

/// A file that was read.
struct Read {
    used: Used,
    /// Views that are to be computed.
    missing: Vec<u32>,
    /// `None`: there is one such view, which is in the worker's scratch already.
    image: Option<RgbImage>,
}

/// What a thread needs to compute chunks without allocating for each image.
struct Worker<'a, K> {
    views: &'a dyn Views,
    backbone: backbone::Worker,
    is_known: &'a K,
    scratch: Scratch,
    /// `[chunk, 224, 224, 3]` f32, normalized: the views that wait to be computed.
    pixels: Vec<f32>,
    /// `[chunk, 2048]` f32.
    features: Vec<f32>,
    /// `[chunk, 14, 14, 1024]` bf16, or empty.
    activations: Vec<u16>,
    /// For each view in `pixels`, the place of its image in the chunk and the view's number.
    waiting: Vec<(usize, u32)>,
}

impl<'a, K: Fn(&blake3::Hash, u32) -> bool> Worker<'a, K> {
    fn new(keep: Keep, views: &'a dyn Views, backbone: backbone::Worker, is_known: &'a K) -> Self {
        let num_kept = if keep == Keep::Activations { CHUNK } else { 0 };
        Worker {
            views,
            backbone,
            is_known,
            scratch: Scratch::default(),
            pixels: vec![0.0; CHUNK * views.eval().output_len()],
            features: vec![0.0; CHUNK * NUM_FEATURES],
            activations: vec![0; num_kept * LAYER4_INPUT_LEN],
            waiting: Vec::with_capacity(CHUNK),
        }
    }

    fn extract_chunk(&mut self, requests: &[Request]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in requests {
            signals::check()?;
            let Read { used, missing, image } = match self.read(request) {
                Ok(read) => read,
                Err(error) => {
                    outcomes.push(Outcome::Skipped(error.reason()));
                    continue;
                }
            };
            let content = used.content;
            outcomes.push(Outcome::Used(Box::new(used)));
            for view in missing {
                let Worker { views, scratch, .. } = self;
                let image_len = views.eval().output_len();
                let pixels = &mut self.pixels[self.waiting.len() * image_len..][..image_len];
                match &image {
                    Some(image) => views.apply(view, &content, image, scratch, pixels),
                    None => views.eval().normalize(scratch.square(), pixels),
                }
                self.waiting.push((outcomes.len() - 1, view));
                if self.waiting.len() == CHUNK {
                    self.compute(&mut outcomes)?;
                }
            }
        }
        self.compute(&mut outcomes)?;
        Ok(outcomes)
    }

    /// Reads one file, and decodes what its missing views look at.
    fn read(&mut self, request: &Request) -> Result<Read> {
        let ImageFile { bytes, metadata, read_at } = image_file::read(request.path)?;
        let content = blake3::hash(&bytes);
        let missing: Vec<u32> =
            (0..request.num_views).filter(|&view| !(self.is_known)(&content, view)).collect();
        let (image, warning) = if let [view] = missing[..] {
            let section = |width, height| self.views.section(view, &content, width, height);
            let (limit, scratch) = (MAX_ALLOC_BYTES, &mut self.scratch);
            (None, decode_section(limit, request.path, &bytes, section, scratch)?)
        } else {
            let decoded = decode(request.path, &bytes)?;
            (Some(decoded.image), decoded.warning)
        };
        let (views, activations) = (Vec::new(), Vec::new());
        let used = Used { content, warning, metadata, read_at, views, activations };
        Ok(Read { used, missing, image })
    }

    /// Takes the views that wait through the backbone.
    fn compute(&mut self, outcomes: &mut [Outcome]) -> Result<()> {
        let num_views = self.waiting.len();
        if num_views == 0 {
            return Ok(());
        }
        let pixels = &self.pixels[..num_views * self.views.eval().output_len()];
        let features = &mut self.features[..num_views * NUM_FEATURES];
        let activations = self.activations.get_mut(..num_views * LAYER4_INPUT_LEN);
        self.backbone.forward_with_cut(pixels, features, activations)?;
        let mut activations = self.activations.chunks_exact(LAYER4_INPUT_LEN);
        for ((image, view), row) in self.waiting.drain(..).zip(features.chunks_exact(NUM_FEATURES))
        {
            if let Outcome::Used(used) = &mut outcomes[image] {
                used.views.push((view, row.to_vec()));
                used.activations.extend(activations.next().map(<[u16]>::to_vec));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_request_once_and_the_rest_is_shared_out() {
        for num_workers in 1..=5 {
            for num_requests in 0..200 {
                let chunks = chunks(num_requests, num_workers);
                let all: Vec<usize> = chunks.iter().cloned().flatten().collect();
                assert_eq!(all, (0..num_requests).collect::<Vec<_>>());
                assert!(chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
            }
        }
        assert_eq!(chunks(10, 2), [0..5, 5..10]);
        assert_eq!(chunks(18, 2), [0..8, 8..16, 16..17, 17..18]);
    }
}

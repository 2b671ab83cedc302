//! The saved model, as a server computes it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::model::{Model, ModelInfo, Worker};
use super::wire::ModelDescription;
use crate::artifact::TrainedModel;
use crate::config::{CHUNK, NUM_FEATURES};
use crate::data::decode::decode_section;
use crate::data::resize::Scratch;
use crate::data::transform::EvalTransform;
use crate::error::Result;
use crate::model::backbone::{self, Backbone, Engine};
use crate::model::head::{Head, PackedHead};
use crate::predictor;

/// The same transform, engine and head as `ec2train predict` computes with.
#[derive(Debug)]
pub struct SavedModel {
    info: Arc<ModelInfo>,
    transform: EvalTransform,
    /// Behind a lock only because libtorch's tensors are not `Sync`.
    backbones: Mutex<Backbones>,
    head: PackedHead,
    max_decode_bytes: u64,
}

/// The weights, packed for each size of batch that needs its own.
#[derive(Debug)]
struct Backbones {
    chunk: Backbone,
    /// `None` where the other one takes any number of images.
    single: Option<Backbone>,
}

impl SavedModel {
    /// Reads the model that stands in `dir`. Decoding an image may take `max_decode_bytes`.
    ///
    /// # Errors
    /// As [`predictor::open`].
    pub fn load(dir: &Path, max_decode_bytes: u64) -> Result<Self> {
        let TrainedModel { metadata, state_dict } = predictor::open(dir)?;
        let engine = Engine::fastest();
        let single = engine
            .packs_for_one_batch()
            .then(|| Backbone::new(engine, &state_dict, 1))
            .transpose()?;
        let backbones = Backbones { chunk: Backbone::new(engine, &state_dict, CHUNK)?, single };
        Ok(SavedModel {
            info: Arc::new(ModelInfo {
                description: ModelDescription {
                    id: metadata.model_sha256.clone(),
                    engine: engine.name().into(),
                    temperature: metadata.temperature.unwrap_or(1.0),
                    num_classes: metadata.class_names.len(),
                },
                class_names: metadata.class_names,
            }),
            transform: EvalTransform::from(&metadata.transform),
            backbones: Mutex::new(backbones),
            head: Head::from_state_dict(&state_dict)?.pack(),
            max_decode_bytes,
        })
    }
}

impl SavedModel {
    /// As in a verbose reply.
    pub fn description(&self) -> &ModelDescription {
        &self.info.description
    }
}

impl Model for SavedModel {
    fn info(&self) -> &Arc<ModelInfo> {
        &self.info
    }

    fn worker(&self) -> Box<dyn Worker> {
        let backbones = self.backbones.lock().unwrap_or_else(PoisonError::into_inner);
        Box::new(SavedModelWorker {
            transform: self.transform,
            chunk: backbones.chunk.worker(),
            single: backbones.single.as_ref().map(Backbone::worker),
            head: self.head.clone(),
            max_decode_bytes: self.max_decode_bytes,
            scratch: Scratch::default(),
            pixels: Vec::new(),
            features: vec![0.0; CHUNK * NUM_FEATURES],
        })
    }
}

struct SavedModelWorker {
    transform: EvalTransform,
    chunk: backbone::Worker,
    single: Option<backbone::Worker>,
    head: PackedHead,
    max_decode_bytes: u64,
    scratch: Scratch,
    /// `[N, 224, 224, 3]` f32, normalized: the images that were taken.
    pixels: Vec<f32>,
    /// `[CHUNK, 2048]` f32.
    features: Vec<f32>,
}

impl Worker for SavedModelWorker {
    fn push(&mut self, image: &[u8]) -> Result<Option<String>, String> {
        let SavedModelWorker { transform, scratch, .. } = self;
        let section = |width, height| transform.section(width, height);
        let (limit, path) = (self.max_decode_bytes, Path::new("image"));
        let warning =
            decode_section(limit, path, image, section, scratch).map_err(|error| error.reason())?;
        let start = self.pixels.len();
        self.pixels.resize(start + transform.output_len(), 0.0);
        transform.normalize(scratch.square(), &mut self.pixels[start..]);
        Ok(warning)
    }

    fn compute(&mut self) -> Result<Vec<Vec<f32>>> {
        let image_len = self.transform.output_len();
        let num_images = self.pixels.len() / image_len;
        let features = &mut self.features[..num_images * NUM_FEATURES];
        let result = match &mut self.single {
            // A chunk that is half empty takes as long as a full one.
            Some(single) if num_images <= CHUNK / 2 => self
                .pixels
                .chunks_exact(image_len)
                .zip(features.chunks_exact_mut(NUM_FEATURES))
                .try_for_each(|(pixels, features)| single.forward(pixels, features)),
            _ => self.chunk.forward(&self.pixels, features),
        };
        self.pixels.clear();
        result?;
        Ok(features.chunks_exact(NUM_FEATURES).map(|row| self.head.logits(row)).collect())
    }
}

//! A model whose images are words.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ec2train::Error;
use ec2train::serving::model::{Model, ModelInfo, Worker};
use ec2train::serving::wire::ModelDescription;

/// Longer than anything takes on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// An image that begins with one of these does that; others have their length and sum as logits.
pub const UNDECODABLE: &str = "undecodable";
pub const PANICKING: &str = "panicking";
pub const FAILING: &str = "failing";

/// Shared by the model and the test.
#[derive(Debug, Default)]
pub struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_held: bool,
    num_held: usize,
    chunks: Vec<Vec<String>>,
}

impl Control {
    /// Has workers wait before they compute.
    pub fn hold(&self) {
        self.lock().is_held = true;
    }

    pub fn release(&self) {
        self.lock().is_held = false;
        self.changed.notify_all();
    }

    /// Until this many workers are held.
    pub fn wait_for_held(&self, num: usize) {
        wait_until(|| self.lock().num_held == num);
    }

    /// What was computed together, without the server's own images.
    pub fn chunks(&self) -> Vec<Vec<String>> {
        self.lock().chunks.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain");
        thread::sleep(Duration::from_millis(2));
    }
}

pub struct FakeModel {
    info: Arc<ModelInfo>,
    control: Arc<Control>,
}

impl FakeModel {
    pub fn shared(id: &str, control: &Arc<Control>) -> Arc<dyn Model> {
        let class_names = ["001.Length", "002.Sum", "003.Nothing"].map(String::from).to_vec();
        let description = ModelDescription {
            id: id.into(),
            engine: "words".into(),
            temperature: 2.0,
            num_classes: class_names.len(),
        };
        let info = Arc::new(ModelInfo { description, class_names });
        Arc::new(FakeModel { info, control: control.clone() })
    }
}

/// Logits of an image.
pub fn logits(image: &[u8]) -> [f32; 3] {
    [image.len() as f32, image.iter().map(|&byte| f32::from(byte)).sum::<f32>() / 4096.0, -0.5]
}

impl Model for FakeModel {
    fn info(&self) -> &Arc<ModelInfo> {
        &self.info
    }

    fn worker(&self) -> Box<dyn Worker> {
        Box::new(FakeWorker { control: self.control.clone(), images: Vec::new() })
    }
}

struct FakeWorker {
    control: Arc<Control>,
    images: Vec<Vec<u8>>,
}

impl Worker for FakeWorker {
    fn push(&mut self, image: &[u8]) -> Result<Option<String>, String> {
        if image.starts_with(UNDECODABLE.as_bytes()) {
            return Err("it is a word".into());
        }
        self.images.push(image.to_vec());
        Ok(None)
    }

    fn compute(&mut self) -> ec2train::Result<Vec<Vec<f32>>> {
        let images = std::mem::take(&mut self.images);
        let mut state = self.control.lock();
        state.num_held += 1;
        while state.is_held {
            state = self.control.changed.wait(state).unwrap();
        }
        state.num_held -= 1;
        let words: Vec<String> = images
            .iter()
            .filter(|image| !image.starts_with(b"\x89PNG"))
            .map(|image| String::from_utf8_lossy(image).into_owned())
            .collect();
        if !words.is_empty() {
            state.chunks.push(words);
        }
        drop(state);
        let has = |word: &str| images.iter().any(|image| image.starts_with(word.as_bytes()));
        assert!(!has(PANICKING), "as the test wants it");
        if has(FAILING) {
            return Err(Error::Internal("as the test wants it".into()));
        }
        Ok(images.iter().map(|image| logits(image).to_vec()).collect())
    }
}

//! The measurements.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::inputs::{photograph, state_dict};
use super::quartiles::Quartiles;
use super::report::{Figure, Report};
use crate::config::{CHUNK, EXPECTED_NUM_CLASSES, NUM_FEATURES, RESIZE_V1};
use crate::data::decode::decode;
use crate::data::resize::Scratch;
use crate::data::transform::EvalTransform;
use crate::data::view::ViewTransform;
use crate::error::{Action, Error, Result};
use crate::features::extract::{Outcome, Request, extract};
use crate::features::{FeatureMatrix, SplitFeatures};
use crate::model::backbone::{Backbone, Engine};
use crate::run::cpu_time::CpuCounters;
use crate::run::host::{self, Host};
use crate::train::fit::{self, Hyperparameters};

/// Part of the time that is spent on files to features.
const END_TO_END_PART: f64 = 0.25;
/// Part of all time for a round of it: a second, in which what a worker sets up once counts as little as in a training.
const END_TO_END_ROUND: f64 = 1.0 / 45.0;

/// How much is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Wall time to spend on all rounds; the warm-ups and the least number of rounds come on top.
    pub budget: Duration,
    /// Rounds at least, of each stage.
    pub min_rounds: usize,
    /// Photographs that are decoded in a round.
    pub num_photographs: usize,
    /// Rows of features that the head is fitted on: the train split of the dog breeds has 6,680.
    pub num_rows: usize,
    /// Workers of the backbone and of the whole way.
    pub num_workers: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            budget: Duration::from_secs(45),
            min_rounds: 3,
            num_photographs: 16,
            num_rows: 6_680,
            num_workers: host::num_cpus(),
        }
    }
}

/// Measures every stage. `on_stage` is told each stage's name as it begins.
///
/// # Errors
/// When the temporary folder cannot be written to, or libtorch fails.
pub fn run(plan: &Plan, mut on_stage: impl FnMut(&str)) -> Result<Report> {
    let before = CpuCounters::now();
    let engines = Engine::supported();
    let Some(&engine) = engines.first() else {
        return Err(Error::Internal("no engine runs on this CPU".into()));
    };
    let mut bench = Bench { plan, figures: Vec::new() };
    on_stage("decode and transform");
    let files = (0..plan.num_photographs as u64).map(photograph).collect::<Result<Vec<_>>>()?;
    bench.images(&files)?;
    on_stage("end to end");
    let rates = bench.end_to_end(&files, engine)?;
    // What a training takes: the next stage loads every engine at once.
    let peak_memory_bytes = host::peak_memory_bytes();
    on_stage("backbone");
    let fastest = bench.backbone(&engines)?;
    let end_to_end = bench.add("files to features".into(), "images/s", plan.num_workers, &rates);
    on_stage("head");
    bench.head()?;

    let mut report = Report {
        created: jiff::Timestamp::now(),
        program: format!("ec2train {}", env!("CARGO_PKG_VERSION")),
        host: Host::detect(),
        instructions: host::instructions(),
        engine: engine.name().into(),
        num_workers: plan.num_workers,
        figures: bench.figures,
        end_to_end_of_backbone: end_to_end / fastest,
        cpu: CpuCounters::now().since(before),
        peak_memory_bytes,
        warnings: Vec::new(),
    };
    report.warn();
    Ok(report)
}

struct Bench<'a> {
    plan: &'a Plan,
    figures: Vec<Figure>,
}

impl Bench<'_> {
    fn add(&mut self, name: String, unit: &'static str, num_threads: usize, rates: &[f64]) -> f64 {
        let Some(quartiles) = Quartiles::of(rates) else { return f64::NAN };
        self.figures.push(Figure { name, unit, num_threads, quartiles });
        quartiles.median
    }

    /// Decoding and the transform, on one thread.
    fn images(&mut self, files: &[Vec<u8>]) -> Result<()> {
        let path = Path::new("photograph.jpg");
        let images = files.iter().map(|file| decode(path, file)).collect::<Result<Vec<_>>>()?;
        let rates = rounds(self.plan, 0.1, |_| {
            let rate = rate(files.len(), || {
                files.iter().try_for_each(|file| decode(path, file).map(drop))
            })?;
            Ok(vec![rate])
        })?;
        self.add("decode 640x480 JPEG".into(), "images/s", 1, &rates[0]);

        let transform = EvalTransform::imagenet(RESIZE_V1);
        let mut scratch = Scratch::default();
        let mut pixels = vec![0.0; transform.output_len()];
        let rates = rounds(self.plan, 0.1, |_| {
            let rate = rate(images.len(), || {
                for decoded in &images {
                    transform.apply(&decoded.image, &mut scratch, &mut pixels);
                }
                Ok(())
            })?;
            Ok(vec![rate])
        })?;
        self.add("transform to 224x224".into(), "images/s", 1, &rates[0]);
        Ok(())
    }

    /// Every engine in turn, so that a change of the machine's speed meets all of them. Returns the
    /// first one's images a second.
    fn backbone(&mut self, engines: &[Engine]) -> Result<f64> {
        let state_dict = state_dict();
        let backbones = engines
            .iter()
            .map(|&engine| Backbone::new(engine, &state_dict, CHUNK))
            .collect::<Result<Vec<_>>>()?;
        drop(state_dict);
        let num_workers = self.plan.num_workers;
        let mut rng = ChaCha8Rng::seed_from_u64(224);
        let image_len = EvalTransform::imagenet(RESIZE_V1).output_len();
        let pixels: Vec<f32> =
            (0..CHUNK * image_len).map(|_| rng.random_range(-2.0..2.0)).collect();
        let mut workers: Vec<Vec<_>> = backbones
            .iter()
            .map(|backbone| (0..num_workers).map(|_| backbone.worker()).collect())
            .collect();
        let rates = rounds(self.plan, 0.5, |_| {
            workers
                .iter_mut()
                .map(|workers| {
                    rate(num_workers * CHUNK, || {
                        thread::scope(|scope| {
                            let threads: Vec<_> = workers
                                .iter_mut()
                                .map(|worker| {
                                    scope.spawn(|| {
                                        let mut features = vec![0.0; CHUNK * NUM_FEATURES];
                                        worker.forward(&pixels, &mut features)
                                    })
                                })
                                .collect();
                            threads.into_iter().try_for_each(|thread| {
                                thread.join().unwrap_or_else(|_| {
                                    Err(Error::Internal("a worker panicked".into()))
                                })
                            })
                        })
                    })
                })
                .collect()
        })?;
        let mut medians = Vec::new();
        for (engine, rates) in engines.iter().zip(&rates) {
            medians.push(self.add(format!("backbone {engine}"), "images/s", num_workers, rates));
        }
        Ok(medians[0])
    }

    /// From files to features with the real worker loop. Returns images a second of each round.
    fn end_to_end(&self, files: &[Vec<u8>], engine: Engine) -> Result<Vec<f64>> {
        let dir = tempfile::tempdir().map_err(Error::io(Action::Create, std::env::temp_dir()))?;
        let num_workers = self.plan.num_workers;
        let paths = (0..2 * num_workers * CHUNK)
            .map(|index| {
                let path = dir.path().join(format!("{index:04}.jpg"));
                fs::write(&path, &files[index % files.len()])
                    .map_err(Error::io(Action::Write, &path))?;
                Ok(path)
            })
            .collect::<Result<Vec<PathBuf>>>()?;
        let mut requests: Vec<Request> =
            paths.iter().map(|path| Request { path, num_views: 1 }).collect();
        let transform = ViewTransform::new(EvalTransform::imagenet(RESIZE_V1));
        let backbone = Backbone::new(engine, &state_dict(), CHUNK)?;
        let compute = |requests: &[Request]| {
            let report = |_, outcome| match outcome {
                Outcome::Used(_) => Ok(()),
                Outcome::Skipped(reason) => Err(Error::Internal(reason)),
            };
            rate(requests.len(), || {
                extract(requests, |_, _| false, &transform, &backbone, num_workers, report)
            })
        };
        let per_round = compute(&requests)? * END_TO_END_ROUND * self.plan.budget.as_secs_f64();
        requests = requests.repeat((per_round / requests.len() as f64).ceil().max(1.0) as usize);
        let rates =
            rounds(self.plan, END_TO_END_PART, |_| compute(&requests).map(|rate| vec![rate]))?;
        Ok(rates.into_iter().flatten().collect())
    }

    /// Epochs of the head's fit on features that can be learnt.
    fn head(&mut self) -> Result<()> {
        let train = separable_features(self.plan.num_rows);
        let valid = separable_features(EXPECTED_NUM_CLASSES);
        let max_epochs = 2;
        let hyperparameters = Hyperparameters { max_epochs, ..Hyperparameters::default() };
        let rates = rounds(self.plan, 0.05, |_| {
            let rate = rate(max_epochs, || {
                let num_threads = self.plan.num_workers;
                fit::fit(
                    &train,
                    &valid,
                    EXPECTED_NUM_CLASSES,
                    &hyperparameters,
                    num_threads,
                    |_| Ok(()),
                )
                .map(drop)
            })?;
            Ok(vec![rate])
        })?;
        let name = format!("head {} x {NUM_FEATURES}", self.plan.num_rows);
        self.add(name, "epochs/s", self.plan.num_workers, &rates[0]);
        Ok(())
    }
}

/// Calls `measure` at least as often as the plan wants, then until its part of the budget is spent,
/// after one call to warm up. Each call returns a rate for each of the things measured; the result
/// holds the rates of each.
fn rounds(
    plan: &Plan,
    part: f64,
    mut measure: impl FnMut(usize) -> Result<Vec<f64>>,
) -> Result<Vec<Vec<f64>>> {
    let mut rates = vec![Vec::new(); measure(0)?.len()];
    let end = Instant::now() + plan.budget.mul_f64(part);
    let mut round = 0;
    while round < plan.min_rounds || Instant::now() < end {
        for (rates, rate) in rates.iter_mut().zip(measure(round)?) {
            rates.push(rate);
        }
        round += 1;
    }
    Ok(rates)
}

/// Things a second, of `num_things` that `work` does.
fn rate(num_things: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(num_things as f64 / start.elapsed().as_secs_f64())
}

/// Noise with a few features raised for each class.
fn separable_features(num_rows: usize) -> SplitFeatures {
    let mut rng = ChaCha8Rng::seed_from_u64(133);
    let mut matrix = FeatureMatrix::with_capacity(NUM_FEATURES, num_rows);
    let mut row = vec![0.0f32; NUM_FEATURES];
    for index in 0..num_rows {
        let class = index % EXPECTED_NUM_CLASSES;
        for (feature, value) in row.iter_mut().enumerate() {
            let is_raised = feature % EXPECTED_NUM_CLASSES == class;
            *value = rng.random_range(0.0..1.0) + if is_raised { 1.0 } else { 0.0 };
        }
        matrix.push(&row, class);
    }
    matrix.into()
}

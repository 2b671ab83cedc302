//! Prints how far the mean colour alone tells the sample's classes apart: the check that the sample
//! cannot be solved without looking at textures.
//!
//! `cargo run --release --no-default-features --example mean_colour`

use std::path::Path;

use anyhow::Result;
use ec2train::config::{EXPECTED_NUM_CLASSES, SAMPLE_DATA_DIR};
use ec2train::data::image_folder::{ImageFolder, Split};
use rayon::prelude::*;

/// Mean R, G, B, and a 1 that takes the bias.
type Colour = [f64; 4];

/// Full-batch gradient steps.
const NUM_STEPS: usize = 3000;
/// Step size on standardized colours.
const LEARNING_RATE: f64 = 2.0;

fn main() -> Result<()> {
    let folder = ImageFolder::scan(Path::new(SAMPLE_DATA_DIR))?;
    let [mut train, mut test] =
        [mean_colours(&folder, Split::Train)?, mean_colours(&folder, Split::Test)?];
    let scaling = Scaling::of(&train);
    train.iter_mut().chain(&mut test).for_each(|(colour, _)| scaling.apply(colour));
    let weights = fit(&train);
    for (split, samples) in [("train", &train), ("test", &test)] {
        let num_right =
            samples.iter().filter(|(colour, target)| predict(&weights, colour) == *target).count();
        println!(
            "mean colour, linear head: {split} top-1 {:.2} %",
            100.0 * num_right as f64 / samples.len() as f64
        );
    }
    Ok(())
}

/// The mean colour of every image of a split, with the image's class.
fn mean_colours(folder: &ImageFolder, split: Split) -> Result<Vec<(Colour, usize)>> {
    folder
        .samples(split)
        .par_iter()
        .map(|sample| {
            let image = image::open(&sample.path)?.to_rgb8();
            let mut colour = [0.0, 0.0, 0.0, 1.0];
            for pixel in image.pixels() {
                for (sum, &level) in colour.iter_mut().zip(&pixel.0) {
                    *sum += f64::from(level);
                }
            }
            let num_pixels = f64::from(image.width()) * f64::from(image.height());
            colour[..3].iter_mut().for_each(|sum| *sum /= num_pixels);
            Ok((colour, sample.target))
        })
        .collect()
}

/// What makes the train split's colours mean 0 and variance 1.
struct Scaling {
    mean: Colour,
    deviation: Colour,
}

impl Scaling {
    fn of(samples: &[(Colour, usize)]) -> Scaling {
        let count = samples.len() as f64;
        let (mut mean, mut deviation) = ([0.0; 4], [1.0; 4]);
        for channel in 0..3 {
            let values = samples.iter().map(|(colour, _)| colour[channel]);
            mean[channel] = values.clone().sum::<f64>() / count;
            let squares = values.map(|value| (value - mean[channel]).powi(2)).sum::<f64>();
            deviation[channel] = (squares / count).sqrt();
        }
        Scaling { mean, deviation }
    }

    fn apply(&self, colour: &mut Colour) {
        for ((value, mean), deviation) in colour.iter_mut().zip(self.mean).zip(self.deviation) {
            *value = (*value - mean) / deviation;
        }
    }
}

/// Multinomial logistic regression without a penalty, by gradient descent.
fn fit(samples: &[(Colour, usize)]) -> Vec<Colour> {
    let mut weights = vec![[0.0; 4]; EXPECTED_NUM_CLASSES];
    for _ in 0..NUM_STEPS {
        let mut gradient = vec![[0.0; 4]; EXPECTED_NUM_CLASSES];
        for (colour, target) in samples {
            let exponentials: Vec<f64> = weights.iter().map(|row| dot(row, colour).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            for (class, (row, exponential)) in gradient.iter_mut().zip(&exponentials).enumerate() {
                let error = exponential / sum - f64::from(u8::from(class == *target));
                row.iter_mut().zip(colour).for_each(|(g, x)| *g += error * x);
            }
        }
        for (row, gradient) in weights.iter_mut().zip(&gradient) {
            for (weight, g) in row.iter_mut().zip(gradient) {
                *weight -= LEARNING_RATE * g / samples.len() as f64;
            }
        }
    }
    weights
}

fn predict(weights: &[Colour], colour: &Colour) -> usize {
    let score = |class: &usize| dot(&weights[*class], colour);
    (0..weights.len()).max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or(0)
}

fn dot(a: &Colour, b: &Colour) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

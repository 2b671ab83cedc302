//! model.pt, loaded by libtorch, and model.tar.gz around it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use ec2train::data::decode::decode;
use ec2train::data::resize::Scratch;
use ec2train::data::transform::EvalTransform;
use tch::{CModule, Tensor};

use super::common::{command, text};
use super::files::{exported, file, model};

/// `[N, 3, 224, 224]` f32, as the program itself transforms the images.
fn inputs(paths: &[PathBuf]) -> Tensor {
    let transform = EvalTransform::imagenet(model().metadata.transform.resize);
    let mut scratch = Scratch::default();
    let images: Vec<Tensor> = paths
        .iter()
        .map(|path| {
            let decoded = decode(path, &fs::read(path).unwrap()).unwrap();
            let mut pixels = vec![0.0; transform.output_len()];
            transform.apply(&decoded.image, &mut scratch, &mut pixels);
            Tensor::from_slice(&pixels).view([224, 224, 3]).permute([2, 0, 1])
        })
        .collect();
    Tensor::stack(&images, 0).contiguous()
}

/// `[N, C]`, by the engine in f32.
fn engine_logits(paths: &[PathBuf]) -> Vec<Vec<f64>> {
    let output = command(&exported().path(""))
        .args(["predict", "--json"])
        .args(paths)
        .env("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let predictions: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let logits = |prediction: &serde_json::Value| {
        let logits = prediction["logits"].as_array().unwrap();
        logits.iter().map(|logit| logit.as_f64().unwrap()).collect()
    };
    predictions.as_array().unwrap().iter().map(logits).collect()
}

#[test]
fn libtorch_gives_the_engines_logits_for_one_image_and_for_three() {
    let paths: Vec<PathBuf> =
        (0..3).map(|class| exported().images("test", class)[0].clone()).collect();
    let expected = engine_logits(&paths);
    let largest = expected.iter().flatten().fold(0.0f64, |max, logit| max.max(logit.abs()));
    let module = CModule::load(file("model.pt")).unwrap();
    let inputs = inputs(&paths);
    let together = module.forward_ts(&[&inputs]).unwrap();
    for (index, expected) in expected.iter().enumerate() {
        let alone = module.forward_ts(&[inputs.narrow(0, index as i64, 1)]).unwrap();
        for logits in [alone.get(0), together.get(index as i64)] {
            let logits: Vec<f32> = logits.try_into().unwrap();
            assert_eq!(logits.len(), expected.len());
            for (logit, expected) in logits.iter().zip(expected) {
                let difference = (f64::from(*logit) - expected).abs();
                assert!(difference < 1e-3 * largest, "{logit} is not {expected}");
            }
        }
    }
}

/// Whether `json` is the part of model.json that a user of the model needs.
fn assert_describes_the_model(json: &str) {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let metadata = exported().metadata();
    for key in ["class_names", "transform", "model_sha256", "created"] {
        assert_eq!(json[key], metadata[key], "{key}");
    }
}

#[test]
fn the_archive_carries_model_json() {
    let mut zip = zip::ZipArchive::new(fs::File::open(file("model.pt")).unwrap()).unwrap();
    let mut json = String::new();
    zip.by_name("model/extra/model.json").unwrap().read_to_string(&mut json).unwrap();
    assert_describes_the_model(&json);
}

#[test]
fn the_archive_for_sagemaker_has_the_files_where_the_container_looks() {
    let gzip = flate2::read::GzDecoder::new(fs::File::open(file("model.tar.gz")).unwrap());
    let mut archive = tar::Archive::new(gzip);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().into_owned();
        assert_eq!(entry.header().mode().unwrap(), 0o644);
        assert_eq!(entry.header().uid().unwrap(), 0);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if name == Path::new("model.pt") {
            assert!(content == fs::read(file("model.pt")).unwrap());
        } else if name == Path::new("model.json") {
            assert_describes_the_model(&text(&content));
        }
        names.push(name);
    }
    assert_eq!(names, ["model.pt", "model.json", "code/inference.py"].map(Path::new));
}

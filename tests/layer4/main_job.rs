//! The main job with `TRAIN_FROM` set to `Layer4`.

use std::fs;

use ec2train::config::TrainFrom;
use ec2train::model::state_dict::StateDict;
use ec2train::pipeline::{evaluate_saved, train};

use crate::common::{WorkingDir, sorted_entries};
use crate::job;

#[test]
fn a_trained_layer4_is_saved_evaluated_and_kept_apart() {
    let working_dir = WorkingDir::small();
    let job = |train_from| job(&working_dir.path(""), train_from, 2);
    let head = train(&job(TrainFrom::Head)).unwrap();
    assert_eq!(head.metadata.train_from, TrainFrom::Head);
    let features = sorted_entries(&working_dir.path("TrainedModels/features"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .unwrap();
    let frozen = fs::read(&features).unwrap();

    let tuned = train(&job(TrainFrom::Layer4)).unwrap();
    assert_eq!(tuned.metadata.train_from, TrainFrom::Layer4);
    assert_eq!(tuned.metadata.num_epochs, head.metadata.num_epochs + 2);
    assert!(fs::read(&features).unwrap() == frozen, "features of another network were mixed in");
    let num_images = tuned.metadata.data.num_train
        + tuned.metadata.data.num_valid
        + tuned.metadata.data.num_test;
    let activations = sorted_entries(&working_dir.path("TrainedModels/features"))
        .into_iter()
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("activations-"))
        .unwrap();
    assert_eq!(fs::metadata(activations).unwrap().len(), 4096 + num_images as u64 * 401_456);

    let [head_tensors, tensors] =
        [&head, &tuned].map(|trained| StateDict::load(&trained.model_path).unwrap());
    let is_tuned = tuned.metadata.best_epoch > head.metadata.num_epochs;
    assert!(is_tuned, "no epoch of layer4 lowered the validation loss: nothing is shown");
    for (name, tensor) in tensors.iter() {
        // A vector may be the same to the bit after a few small steps.
        let is_vector = tensor.shape.len() < 2;
        let is_trained = name.starts_with("layer4.") || name.starts_with("fc.");
        let is_constant = name.contains("running_") || name.ends_with("tracked");
        if !is_trained || is_constant || !is_vector {
            let differs = head_tensors.get(name).unwrap() != tensor;
            assert_eq!(differs, is_trained && !is_constant, "{name}");
        }
    }

    // Through the network of model.pth, from the image files.
    if tuned.metadata.promoted {
        let evaluation = evaluate_saved(&job(TrainFrom::Layer4), false).unwrap();
        assert_eq!(evaluation.test, tuned.metadata.metrics.test);
    }
    let again = train(&job(TrainFrom::Layer4)).unwrap();
    assert_eq!(again.metadata.model_sha256, tuned.metadata.model_sha256);
}

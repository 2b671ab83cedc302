//! The fit of the head against scikit-learn, on features that Python wrote.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ec2train::Error;
use ec2train::config::NUM_FEATURES;
use ec2train::evaluate::evaluate;
use ec2train::features::recipe::Recipe;
use ec2train::features::store::FeatureStore;
use ec2train::features::{FeatureMatrix, SplitFeatures};
use ec2train::model::head::Head;
use ec2train::model::state_dict::{StateDict, TensorData};
use ec2train::run::signals::StopReason;
use ec2train::train::checkpoint::Checkpoint;
use ec2train::train::fit::{Epoch, Fitted, Hyperparameters, fit, fit_with_checkpoint};
use ec2train::train::search::{Search, choose_penalty};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Golden {
    train: FeatureMatrix,
    valid: FeatureMatrix,
    expected: serde_json::Value,
}

impl Golden {
    fn load() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/head");
        let tensors = StateDict::load(&dir.join("features.safetensors")).unwrap();
        let text = std::fs::read_to_string(dir.join("expected.json")).unwrap();
        Golden {
            train: matrix(&tensors, "train"),
            valid: matrix(&tensors, "valid"),
            expected: serde_json::from_str(&text).unwrap(),
        }
    }

    fn splits(&self) -> (SplitFeatures, SplitFeatures) {
        (self.train.clone().into(), self.valid.clone().into())
    }

    fn number(&self, name: &str) -> f64 {
        self.expected[name].as_f64().unwrap()
    }

    fn fit(&self, hyperparameters: &Hyperparameters) -> ec2train::Result<Fitted> {
        let num_classes = self.number("num_classes") as usize;
        let (train, valid) = self.splits();
        fit(&train, &valid, num_classes, hyperparameters, 2, |_| Ok(()))
    }

    /// Chooses among `penalties`, from a few epochs on.
    fn search(&self, penalties: &[f64], num_threads: usize) -> (Fitted, Search) {
        let hyperparameters = Hyperparameters { max_epochs: 5, ..self.to_the_end() };
        let mut fitted = self.fit(&hyperparameters).unwrap();
        let (train, valid) = self.splits();
        let (search, of_train) =
            choose_penalty(&mut fitted, train, valid, &hyperparameters, penalties, num_threads)
                .unwrap();
        let expected = evaluate(&fitted.head, &self.splits().0).unwrap();
        // Where the CPU has AMX, the search has rounded the features to bf16.
        assert!((of_train.loss / expected.loss - 1.0).abs() < 1e-3, "{of_train:?} {expected:?}");
        assert_eq!(of_train.num_samples, expected.num_samples);
        assert!((of_train.top1_accuracy - expected.top1_accuracy).abs() < 0.01, "{of_train:?}");
        (fitted, search.unwrap())
    }

    /// Long enough, and without early stopping, to reach the optimum.
    fn to_the_end(&self) -> Hyperparameters {
        Hyperparameters {
            l2_penalty: self.number("l2_penalty"),
            learning_rate: 0.02,
            max_epochs: 200,
            patience: 200,
            ..Hyperparameters::default()
        }
    }
}

fn matrix(tensors: &StateDict, name: &str) -> FeatureMatrix {
    let values = tensors.get(name).unwrap();
    FeatureMatrix {
        num_features: values.shape[1],
        values: values.to_f32(),
        targets: integers(tensors.get(&format!("{name}_targets")).unwrap()),
    }
}

fn integers(tensor: &TensorData) -> Vec<usize> {
    let (values, _) = tensor.bytes.as_chunks::<8>();
    values.iter().map(|bytes| i64::from_le_bytes(*bytes) as usize).collect()
}

#[test]
fn the_validation_loss_is_that_of_scikit_learn() {
    let golden = Golden::load();
    let fitted = golden.fit(&golden.to_the_end()).unwrap();
    let last = fitted.history.last().unwrap();
    let expected = golden.number("valid_loss");
    assert!(
        (last.valid.loss / expected - 1.0).abs() < 0.02,
        "{} against {expected} of scikit-learn",
        last.valid.loss
    );
    assert_eq!(last.valid.top1_accuracy, golden.number("valid_top1_accuracy"));
}

#[test]
fn whole_batches_end_in_the_optimum_of_scikit_learn() {
    let golden = Golden::load();
    // The whole split in one batch has no noise, so it reaches the optimum itself.
    let hyperparameters = Hyperparameters {
        batch_size: golden.train.targets.len(),
        max_epochs: 1000,
        patience: 1000,
        ..golden.to_the_end()
    };
    let fitted = golden.fit(&hyperparameters).unwrap();
    let last = fitted.history.last().unwrap();
    for (found, name) in [(last.train.loss, "train_loss"), (last.valid.loss, "valid_loss")] {
        let expected = golden.number(name);
        assert!((found / expected - 1.0).abs() < 1e-3, "{name}: {found} instead of {expected}");
    }
}

#[test]
fn the_head_of_the_best_epoch_is_kept_and_works_on_plain_features() {
    let golden = Golden::load();
    let mut hyperparameters = golden.to_the_end();
    hyperparameters.l2_penalty = 0.0;
    let fitted = golden.fit(&hyperparameters).unwrap();
    let best = &fitted.history[fitted.best_epoch - 1];
    let lowest = fitted.history.iter().map(|epoch| epoch.valid.loss).fold(f64::INFINITY, f64::min);
    assert_eq!(best.valid.loss, lowest);
    assert!(fitted.best_epoch < fitted.history.len(), "without a penalty it must overfit");
    let again = evaluate(&fitted.head, &golden.splits().1).unwrap();
    assert!((again.loss - best.valid.loss).abs() < 1e-4, "{} {}", again.loss, best.valid.loss);
    assert_eq!(again.top1_accuracy, best.valid.top1_accuracy);
}

#[test]
fn training_ends_when_the_validation_loss_has_not_fallen_for_patience_epochs() {
    let golden = Golden::load();
    let mut hyperparameters = golden.to_the_end();
    hyperparameters.l2_penalty = 0.0;
    hyperparameters.patience = 5;
    let fitted = golden.fit(&hyperparameters).unwrap();
    assert_eq!(fitted.history.len(), fitted.best_epoch + 5);
    assert!(fitted.history.len() < hyperparameters.max_epochs);
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_does_not() {
    let golden = Golden::load();
    let hyperparameters = Hyperparameters { max_epochs: 3, ..golden.to_the_end() };
    let bits = |hyperparameters: &Hyperparameters| -> Vec<u32> {
        let head = golden.fit(hyperparameters).unwrap().head;
        head.weight.iter().map(|value| value.to_bits()).collect()
    };
    let other = Hyperparameters { seed: hyperparameters.seed + 1, ..hyperparameters.clone() };
    assert_eq!(bits(&hyperparameters), bits(&hyperparameters));
    assert_ne!(bits(&hyperparameters), bits(&other));
}

#[test]
fn a_learning_rate_that_diverges_is_an_error_and_not_a_model() {
    let golden = Golden::load();
    let hyperparameters = Hyperparameters { learning_rate: 1e35, ..golden.to_the_end() };
    let error = golden.fit(&hyperparameters).unwrap_err();
    assert_eq!(error.exit_code(), 65, "{error}");
    assert!(error.to_string().contains("no longer a number"), "{error}");
    assert!(error.to_string().contains("learning rate"), "{error}");
}

#[test]
fn a_loss_that_stays_at_chance_is_an_error_that_names_chance() {
    let golden = Golden::load();
    let hyperparameters = Hyperparameters { learning_rate: 1e-9, ..golden.to_the_end() };
    let error = golden.fit(&hyperparameters).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("2.3026"), "ln 10 is not in: {error}");
}

#[test]
fn features_that_are_all_alike_are_an_error() {
    let mut train = FeatureMatrix::new(4);
    (0..20).for_each(|i| train.push(&[1.0; 4], i % 2));
    let train = SplitFeatures::from(train);
    let error = fit(&train, &train, 2, &Hyperparameters::default(), 1, |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("alike"), "{error}");
}

#[test]
fn the_head_has_the_same_bits_for_any_number_of_threads() {
    let golden = Golden::load();
    // Several blocks of features, the last one not full.
    let widen = |matrix: &FeatureMatrix| {
        let mut wide = FeatureMatrix::new(matrix.num_features + 333);
        for (row, &target) in matrix.rows().zip(&matrix.targets) {
            let more = (0..333).map(|i| row[i % matrix.num_features] * (i % 7) as f32);
            wide.push(&row.iter().copied().chain(more).collect::<Vec<_>>(), target);
        }
        SplitFeatures::from(wide)
    };
    let (train, valid) = (widen(&golden.train), widen(&golden.valid));
    let num_classes = golden.number("num_classes") as usize;
    let hyperparameters = Hyperparameters { max_epochs: 2, ..golden.to_the_end() };
    let heads: Vec<_> = [1, 2, 3, 4]
        .map(|num_threads| {
            fit(&train, &valid, num_classes, &hyperparameters, num_threads, |_| Ok(()))
                .unwrap()
                .head
        })
        .into();
    assert!(heads.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_fit_that_is_stopped_after_any_epoch_ends_with_the_bits_of_one_that_is_not() {
    let golden = Golden::load();
    let num_classes = golden.number("num_classes") as usize;
    let hyperparameters = Hyperparameters { max_epochs: 7, patience: 3, ..golden.to_the_end() };
    let undisturbed = golden.fit(&hyperparameters).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Written after every epoch, as a killed process leaves it; and only when asked to stop.
    for checkpoint in [Checkpoint::after_every_epoch, Checkpoint::at] {
        let mut checkpoint = checkpoint(&dir.path().join("fit"));
        let mut epochs = Vec::new();
        let mut num_starts = 0;
        let fitted = loop {
            num_starts += 1;
            let mut num_epochs = 0;
            let on_epoch = |epoch: &Epoch| {
                num_epochs += 1;
                if num_epochs > num_starts % 3 {
                    return Err(Error::Stopped(StopReason::Terminate));
                }
                epochs.push(epoch.epoch);
                Ok(())
            };
            let (train, valid) = golden.splits();
            let threads = num_starts % 2 + 1;
            let fitted = fit_with_checkpoint(
                &train,
                &valid,
                num_classes,
                &hyperparameters,
                threads,
                &mut checkpoint,
                on_epoch,
            );
            match fitted {
                Err(error) => assert_eq!(error.exit_code(), 143, "{error}"),
                Ok(fitted) => break fitted,
            }
            assert!(num_starts < 50);
        };
        // No epoch was trained twice, none left out.
        assert_eq!(epochs, (1..=undisturbed.history.len()).collect::<Vec<_>>());
        assert_eq!(fitted.history, undisturbed.history);
        assert_eq!(fitted.best_epoch, undisturbed.best_epoch);
        let bits = |head: &Head| -> Vec<u32> {
            head.weight.iter().chain(&head.bias).map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(&fitted.head), bits(&undisturbed.head));

        // The finished fit's checkpoint is no start for another one.
        let other = Hyperparameters { seed: 7, ..hyperparameters.clone() };
        let mut first_epoch = None;
        let on_epoch = |epoch: &Epoch| {
            first_epoch.get_or_insert(epoch.epoch);
            Ok(())
        };
        let (train, valid) = golden.splits();
        fit_with_checkpoint(&train, &valid, num_classes, &other, 2, &mut checkpoint, on_epoch)
            .unwrap();
        assert_eq!(first_epoch, Some(1));
        checkpoint.remove().unwrap();
    }
}

#[test]
fn the_optimum_for_a_penalty_is_that_of_scikit_learn() {
    let golden = Golden::load();
    let (fitted, search) = golden.search(&[golden.number("l2_penalty")], 2);
    assert_eq!(
        search.candidates.len(),
        2,
        "the best is visited twice, and there is none beside it"
    );
    let expected = golden.number("valid_loss");
    let found = search.candidates[1].valid_loss;
    assert!((found / expected - 1.0).abs() < 2e-3, "{found} instead of {expected}");
    assert!(fitted.valid_loss <= found);
}

#[test]
fn the_head_with_the_lowest_validation_loss_of_all_penalties_is_kept() {
    let golden = Golden::load();
    let penalties = [1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0];
    let (fitted, search) = golden.search(&penalties, 2);
    // Each alone, to its optimum.
    let losses = penalties.map(|penalty| {
        let alone = Hyperparameters { l2_penalty: penalty, ..golden.to_the_end() };
        golden.fit(&alone).unwrap().history.last().unwrap().valid.loss
    });
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(fitted.valid_loss < lowest * 1.005, "{} {losses:?} {search:?}", fitted.valid_loss);
    // Two are almost alike here, and a descent that is not yet at its end may be better still.
    let [.., best, between] = &search.candidates[..] else { panic!("{search:?}") };
    let index = penalties.iter().position(|&penalty| penalty == best.l2_penalty).unwrap();
    assert!(losses[index] < lowest * 1.01, "{losses:?} {search:?}");
    assert!(search.candidates.iter().all(|candidate| fitted.valid_loss <= candidate.valid_loss));
    let is_neighbour = |ratio: f64| (0.3..0.9).contains(&ratio.min(1.0 / ratio));
    assert!(is_neighbour(between.l2_penalty / best.l2_penalty), "{search:?}");
    assert!(!penalties.contains(&between.l2_penalty), "{search:?}");
    let tried = |chosen| search.candidates.iter().any(|candidate| candidate.l2_penalty == chosen);
    assert!(search.chosen.is_some_and(tried));
    assert!(search.candidates.len() <= penalties.len() + 1, "it goes on uphill: {search:?}");
    let again = evaluate(&fitted.head, &golden.splits().1).unwrap().loss;
    // Where the CPU has AMX, the search has rounded the features to bf16.
    assert!((again / fitted.valid_loss - 1.0).abs() < 1e-3, "{again} {}", fitted.valid_loss);
}

#[test]
fn a_penalty_is_given_up_where_valid_becomes_much_worse_than_it_was() {
    let mut golden = Golden::load();
    let num_classes = golden.number("num_classes") as usize;
    // Labels that the features say nothing of can only be learnt by heart.
    for (index, target) in golden.train.targets.iter_mut().enumerate() {
        *target = index * 7 % num_classes;
    }
    let penalties = [1e-6, 1e-5, 1e-2, 1.0];
    let start = Hyperparameters { l2_penalty: 1e-5, max_epochs: 5, ..golden.to_the_end() };
    let search = |num_threads| {
        let mut fitted = golden.fit(&start).unwrap();
        let (train, valid) = golden.splits();
        let (search, _) =
            choose_penalty(&mut fitted, train, valid, &start, &penalties, num_threads).unwrap();
        (fitted, search.unwrap())
    };
    let (fitted, found) = search(1);
    let Search { candidates, chosen, .. } = &found;
    assert!(candidates[0].given_up && candidates[0].l2_penalty == 1e-5, "{found:?}");
    assert!(candidates[0].num_passes < 30, "{found:?}");
    assert!(candidates[0].valid_loss > 1.5 * fitted.valid_loss, "{found:?}");
    // Upwards from there, to where guessing is best.
    assert_eq!(candidates[1].l2_penalty, 1e-2, "{found:?}");
    let last = candidates.iter().rfind(|it| penalties.contains(&it.l2_penalty)).unwrap();
    assert!(last.l2_penalty == 1.0 && !last.given_up, "{found:?}");
    assert!(candidates.iter().all(|it| it.l2_penalty >= 1e-5), "{found:?}");
    assert!(chosen.is_some() && found.to_string().contains(" (given up)"), "{found}");
    let chance = (num_classes as f64).ln();
    assert!(fitted.valid_loss < 1.05 * chance, "{} {chance} {found:?}", fitted.valid_loss);
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(
        json.matches("given_up").count(),
        candidates.iter().filter(|it| it.given_up).count()
    );
    assert_eq!(serde_json::from_str::<Search>(&json).unwrap(), found);
    let (other, same) = search(2);
    assert!(same == found && other.head == fitted.head);
}

#[test]
fn the_search_has_the_same_bits_for_any_number_of_threads() {
    let golden = Golden::load();
    let penalties = [1e-2, 3e-2, 1e-1];
    let (one, candidates) = golden.search(&penalties, 1);
    for num_threads in 2..=4 {
        let (other, others) = golden.search(&penalties, num_threads);
        assert_eq!(candidates, others);
        assert!(one.head == other.head, "{num_threads} threads");
    }
}

#[test]
fn on_many_validation_images_the_weights_of_the_heads_are_chosen_too() {
    let few = Golden::load();
    let mut many = Golden::load();
    // The same losses, on twice as many images.
    for (row, &target) in few.valid.rows().zip(&few.valid.targets) {
        many.valid.push(row, target);
    }
    let penalties = [1e-2, 3e-2, 1e-1];
    let (mean, _) = few.search(&penalties, 2);
    let (one, search) = many.search(&penalties, 1);
    assert!(
        one.valid_loss < 0.999 * mean.valid_loss,
        "{} after {}",
        one.valid_loss,
        mean.valid_loss
    );
    assert!(search.num_averaged > 1);
    for num_threads in [2, 4] {
        let (other, others) = many.search(&penalties, num_threads);
        assert_eq!(search, others);
        assert!(one.head == other.head, "{num_threads} threads");
    }
}

#[test]
fn a_few_validation_images_choose_nothing() {
    let golden = Golden::load();
    let hyperparameters = Hyperparameters { max_epochs: 2, ..golden.to_the_end() };
    let mut fitted = golden.fit(&hyperparameters).unwrap();
    let before = fitted.head.clone();
    let mut valid = FeatureMatrix::new(golden.valid.num_features);
    golden.valid.rows().take(5).for_each(|row| valid.push(row, 0));
    let (train, _) = golden.splits();
    let (search, of_train) =
        choose_penalty(&mut fitted, train, valid.into(), &hyperparameters, &[1e-2], 1).unwrap();
    assert_eq!(search, None);
    assert_eq!(of_train, evaluate(&before, &golden.splits().0).unwrap());
    assert!(fitted.head == before);
}

#[test]
fn features_in_the_store_give_the_bits_of_those_in_memory() {
    // More than half as many images as features: the fit goes through the features themselves.
    let (num_train, num_classes) = (NUM_FEATURES / 2 + 30, 7);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut drawn = |num_images| {
        let mut split = FeatureMatrix::new(NUM_FEATURES);
        for target in (0..num_classes).cycle().take(num_images) {
            let raised = |feature| if feature % 50 == target { 0.3 } else { 0.0 };
            let row: Vec<f32> =
                (0..NUM_FEATURES).map(|it| rng.random_range(0.0..1.0) + raised(it)).collect();
            split.push(&row, target);
        }
        split
    };
    let (train, valid) = (drawn(num_train), drawn(100));
    let dir = tempfile::tempdir().unwrap();
    let recipe =
        Recipe { transform: 1.into(), weights_sha256: "0".repeat(64), engine: "test".into() };
    let store = Arc::new(FeatureStore::open(dir.path(), &recipe).unwrap());
    let stored = |split: &FeatureMatrix, view: u32| {
        let contents = (0..split.targets.len()).map(|row| blake3::hash(&row.to_le_bytes()));
        let rows: Vec<_> = contents.map(|content| (content, view)).collect();
        for (values, (content, view)) in split.rows().zip(&rows) {
            store.append(content, *view, values).unwrap();
        }
        SplitFeatures::of(&store, rows, split.targets.clone(), false).unwrap()
    };
    let hyperparameters = Hyperparameters { max_epochs: 2, ..Hyperparameters::default() };
    let run = |train: SplitFeatures, valid: SplitFeatures| {
        let on_epoch = |_: &Epoch| Ok(());
        let mut fitted = fit(&train, &valid, num_classes, &hyperparameters, 2, on_epoch).unwrap();
        let epochs = fitted.head.clone();
        let measures = [&train, &valid].map(|split| evaluate(&epochs, split).unwrap());
        let found =
            choose_penalty(&mut fitted, train, valid, &hyperparameters, &[1e-3], 2).unwrap();
        (epochs, fitted.head, fitted.history, found, measures)
    };
    let (stored_train, stored_valid) = (stored(&train, 0), stored(&valid, 1));
    assert!(matches!(stored_train, SplitFeatures::Stored(_)));
    assert!(run(stored_train, stored_valid) == run(train.into(), valid.into()));
    let files = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 1, "the store alone");
}

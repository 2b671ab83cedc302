//! Where hyperparameters come from.

use super::common::text;
use super::container::Container;

#[test]
fn arguments_come_before_the_file_and_that_before_the_environment() {
    let container = Container::with_features();
    container.write_config(
        "hyperparameters.json",
        r#"{
            "epochs": "\"5\"", "batch_size": "\"8\"", "learning-rate": "0.01", "seed": "7",
            "sagemaker_program": "\"train.py\"", "sagemaker_container_log_level": "20",
            "_tuning_objective_metric": "Test Loss", "test-batch-size": "\"100\""
        }"#,
    );
    let output = container
        .command(&["train", "--epochs", "2", "--batch_size=4"])
        .env("SM_HPS", r#"{"batch_size": 16, "lr": 0.5, "patience": 3, "log-interval": 100}"#)
        // Not read, since a shell drops those with a dash.
        .env("SM_HP_EPOCHS", "50")
        .output()
        .unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    let used = container.metadata()["hyperparameters"].clone();
    let expected = serde_json::json!({
        "max_epochs": 2, "batch_size": 4, "learning_rate": 0.01, "seed": 7, "patience": 3
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(used[name], *value, "{name}");
    }
    assert_eq!(container.metadata()["num_epochs"], 2);
    for name in ["test-batch-size", "log-interval"] {
        assert!(log.contains(&format!("hyperparameter {name} is ignored")), "{log}");
    }
    assert!(!log.contains("sagemaker_program"), "{log}");
}

#[test]
fn another_number_of_epochs_is_another_model() {
    let container = Container::with_features();
    container.train_well(&["--epochs", "1"]);
    let one = (container.model(), container.metadata()["inputs"].clone());
    container.train_well(&["--epochs", "2"]);
    let two = (container.model(), container.metadata()["inputs"].clone());
    assert!(one.0 != two.0);
    assert!(one.1.is_string() && one.1 != two.1);
}

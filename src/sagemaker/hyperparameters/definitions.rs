//! Which hyperparameters there are.

use super::value::{from_zero, positive, share, whole};
use crate::config::TrainFrom;
use crate::train::fit::Hyperparameters;

/// A hyperparameter that jobs may give.
pub(in super::super) struct Definition {
    /// The name, then others for the same.
    pub(in super::super) names: &'static [&'static str],
    pub(in super::super) meaning: Meaning,
    /// A sentence without its full stop.
    pub(in super::super) help: &'static str,
}

/// What a hyperparameter does.
pub(in super::super) enum Meaning {
    /// Sets a value, or says what would be one.
    Sets(fn(&mut Hyperparameters, &str) -> Result<(), String>),
    /// Nothing: the model is the same whatever it is, for this reason.
    Ignored(&'static str),
    /// It would change the model elsewhere, so that leaving it out is no answer.
    Refused(&'static str),
}

impl Definition {
    /// Whether `name`, with dashes, is one of its names.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

/// What the hyperparameter `name`, with dashes, does.
pub(super) fn meaning(name: &str) -> Option<&'static Meaning> {
    DEFINITIONS.iter().find(|it| it.has_name(name)).map(|definition| &definition.meaning)
}

const MAX_EPOCHS: usize = 10_000;
const MAX_BATCH_SIZE: usize = 65_536;
const MAX_LEARNING_RATE: f64 = 10.0;
const MAX_PENALTY: f64 = 10.0;

const NO_NEED: &str = "this program decides on that by itself, and the model does not depend on it";
const PATHS: &str = "Folders are SageMaker's: name channels in the job, or set SM_MODEL_DIR, \
                     SM_OUTPUT_DATA_DIR or SAGEMAKER_BASE_DIR where the container is run by hand.";

/// In the order in which they are shown. The names are those of PyTorch's examples and SageMaker's.
pub(in super::super) const DEFINITIONS: &[Definition] = &[
    Definition {
        names: &["epochs"],
        meaning: Meaning::Sets(|it, text| {
            it.max_epochs = whole(text, 1..=MAX_EPOCHS)?;
            Ok(())
        }),
        help: "Passes over the train split at most",
    },
    Definition {
        names: &["batch-size"],
        meaning: Meaning::Sets(|it, text| {
            it.batch_size = whole(text, 1..=MAX_BATCH_SIZE)?;
            Ok(())
        }),
        help: "Images per step",
    },
    Definition {
        names: &["learning-rate", "lr"],
        meaning: Meaning::Sets(|it, text| {
            it.learning_rate = positive(text, MAX_LEARNING_RATE)?;
            Ok(())
        }),
        help: "Adam's peak step size",
    },
    Definition {
        names: &["l2-penalty", "weight-decay"],
        meaning: Meaning::Sets(|it, text| {
            it.l2_penalty = from_zero(text, MAX_PENALTY)?;
            Ok(())
        }),
        help: "Penalty on the weights of the head",
    },
    Definition {
        names: &["patience"],
        meaning: Meaning::Sets(|it, text| {
            it.patience = whole(text, 1..=MAX_EPOCHS)?;
            Ok(())
        }),
        help: "Epochs without a lower validation loss after which training ends",
    },
    Definition {
        names: &["seed"],
        meaning: Meaning::Sets(|it, text| {
            it.seed = whole(text, 0..=u64::MAX)?;
            Ok(())
        }),
        help: "Seeds the order of the mini-batches",
    },
    Definition {
        names: &["train-from"],
        meaning: Meaning::Sets(|it, text| {
            it.train_from = match text {
                "head" => TrainFrom::Head,
                "layer4" if cfg!(feature = "torch") => TrainFrom::Layer4,
                _ if cfg!(feature = "torch") => return Err("head or layer4".into()),
                _ => return Err("head, in this build without libtorch".into()),
            };
            Ok(())
        }),
        help: "Where the trained part of the network begins",
    },
    Definition {
        names: &["layer4-epochs"],
        meaning: Meaning::Sets(|it, text| {
            it.layer4.max_epochs = whole(text, 1..=MAX_EPOCHS)?;
            Ok(())
        }),
        help: "Passes of layer4 at most",
    },
    Definition {
        names: &["layer4-batch-size"],
        meaning: Meaning::Sets(|it, text| {
            it.layer4.batch_size = whole(text, 1..=MAX_BATCH_SIZE)?;
            Ok(())
        }),
        help: "Images per step of layer4",
    },
    Definition {
        names: &["layer4-learning-rate"],
        meaning: Meaning::Sets(|it, text| {
            it.layer4.learning_rate = positive(text, MAX_LEARNING_RATE)?;
            Ok(())
        }),
        help: "SGD's peak step size for layer4",
    },
    Definition {
        names: &["layer4-head-learning-rate"],
        meaning: Meaning::Sets(|it, text| {
            it.layer4.head_learning_rate = positive(text, MAX_LEARNING_RATE)?;
            Ok(())
        }),
        help: "SGD's peak step size for the head",
    },
    Definition {
        names: &["layer4-momentum"],
        meaning: Meaning::Sets(|it, text| {
            it.layer4.momentum = share(text)?;
            Ok(())
        }),
        help: "Share of the velocity that a step of SGD keeps",
    },
    Definition {
        names: &["layer4-weight-decay"],
        meaning: Meaning::Sets(|it, text| {
            it.layer4.weight_decay = from_zero(text, MAX_PENALTY)?;
            Ok(())
        }),
        help: "Penalty on the weights of layer4",
    },
    Definition {
        names: &["layer4-patience"],
        meaning: Meaning::Sets(|it, text| {
            it.layer4.patience = whole(text, 1..=MAX_EPOCHS)?;
            Ok(())
        }),
        help: "Epochs of layer4 without a lower validation loss after which training ends",
    },
    Definition {
        names: &["test-batch-size"],
        meaning: Meaning::Ignored("the measures are the same for any number of images at a time"),
        help: "",
    },
    Definition {
        names: &["log-interval"],
        meaning: Meaning::Ignored("every epoch is logged"),
        help: "",
    },
    Definition {
        names: &["num-workers", "workers", "num-cpus"],
        meaning: Meaning::Ignored(NO_NEED),
        help: "",
    },
    Definition {
        names: &["num-gpus", "no-cuda", "backend"],
        meaning: Meaning::Ignored("this program computes on CPUs, and its hosts exchange by Gloo"),
        help: "",
    },
    Definition {
        names: &["hosts", "current-host"],
        meaning: Meaning::Ignored("hosts are those of resourceconfig.json or SM_HOSTS"),
        help: "",
    },
    Definition {
        names: &["momentum"],
        meaning: Meaning::Refused(
            "Leave it out: Adam fits the head, without one. SGD's for layer4 is layer4-momentum.",
        ),
        help: "",
    },
    Definition {
        names: &[
            "data-dir",
            "data",
            "train",
            "valid",
            "validation",
            "test",
            "model-dir",
            "output-dir",
            "output-data-dir",
        ],
        meaning: Meaning::Refused(PATHS),
        help: "",
    },
];

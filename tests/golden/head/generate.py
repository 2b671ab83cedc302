"""Writes features.safetensors and expected.json: what scikit-learn's LogisticRegression reaches.

Needs numpy, safetensors and scikit-learn. Run in this folder: python generate.py
"""

import json

import numpy as np
import sklearn
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

L2_PENALTY = 0.01
NUM_TRAIN, NUM_VALID, NUM_FEATURES, NUM_CLASSES = 240, 120, 48, 10

rng = np.random.default_rng(133)
# Like pooled features of a ReLU network: never negative, sparse, a mean far from zero, classes
# that overlap.
centres = rng.normal(size=(NUM_CLASSES, 12))
targets = np.arange(NUM_TRAIN + NUM_VALID) % NUM_CLASSES
latent = centres[targets] + 1.5 * rng.normal(size=(len(targets), 12))
features = latent @ rng.normal(size=(12, NUM_FEATURES)) / 3 + 0.5 * rng.normal(size=(len(targets), NUM_FEATURES))
features = np.maximum(features + 0.3, 0).astype(np.float32)

train, valid = features[:NUM_TRAIN], features[NUM_TRAIN:]
train_targets, valid_targets = targets[:NUM_TRAIN], targets[NUM_TRAIN:]

# The scaling that the fit uses, so that the same penalty means the same thing.
mean = train.astype(np.float64).mean(0)
variance = train.astype(np.float64).var(0)
deviation = np.maximum(np.sqrt(variance), 0.1 * np.sqrt(variance.mean()))
x, x_valid = (train - mean) / deviation, (valid - mean) / deviation

# scikit-learn minimizes C * sum of losses + |W|^2 / 2.
model = LogisticRegression(C=1 / (L2_PENALTY * NUM_TRAIN), tol=1e-10, max_iter=10000).fit(x, train_targets)


def loss(x, targets):
    return float(-model.predict_log_proba(x)[np.arange(len(targets)), targets].mean())


save_file(
    {
        "train": train,
        "valid": valid,
        "train_targets": train_targets.astype(np.int64),
        "valid_targets": valid_targets.astype(np.int64),
    },
    "features.safetensors",
)
with open("expected.json", "w") as file:
    json.dump(
        {
            "scikit_learn": sklearn.__version__,
            "l2_penalty": L2_PENALTY,
            "num_classes": NUM_CLASSES,
            "train_loss": loss(x, train_targets),
            "valid_loss": loss(x_valid, valid_targets),
            "valid_top1_accuracy": float((model.predict(x_valid) == valid_targets).mean()),
        },
        file,
        indent=2,
    )
    file.write("\n")

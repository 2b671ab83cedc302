"""The data sets of ablate.py and compare.py: each is three splits of features [N, V, F] and targets [N]."""

import numpy as np
from sklearn.datasets import load_digits

NUM_CLASSES = 133


def load(path):
    """`features` [N, F] or [N, V, F] (views, the centre first) and `targets` [N]."""
    data = np.load(path)
    features, targets = data["features"].astype(np.float32), data["targets"].astype(np.int64)
    return (features[:, None] if features.ndim == 2 else features), targets


def resplit(features, targets, seed):
    """By class: one image in seven for valid, one for test, at least one each."""
    rng, parts = np.random.default_rng(seed), [[], [], []]
    for c in np.unique(targets):
        rows = rng.permutation(np.flatnonzero(targets == c))
        held = max(1, len(rows) // 7)
        for part, chosen in zip(parts, [rows[2 * held :], rows[:held], rows[held : 2 * held]]):
            part.extend(chosen)
    return [(features[part], targets[part]) for part in parts]


def thin_out(split, seed):
    """Leaves 2 to 5 train images of each class: about the breeds' 26 to 77."""
    rng, (x, y) = np.random.default_rng(seed), split[0]
    keep = [rng.permutation(np.flatnonzero(y == c))[: rng.integers(2, 6)] for c in np.unique(y)]
    keep = np.concatenate(keep)
    return [(x[keep], y[keep]), *split[1:]]


def digits():
    """scikit-learn's 1,797 digits: 64 pixels of real handwriting."""
    data = load_digits()
    return data.data.astype(np.float32)[:, None], data.target.astype(np.int64)


def drawn(seed, num_features, noise):
    """As many images as the dog breeds have, 26 to 77 of a class in train: classes that overlap, a
    spectrum with a heavy tail, rectified as ResNet50's features are."""
    rng = np.random.default_rng(seed)
    num_latent = min(num_features, 256)
    spectrum = (1 + np.arange(num_latent)) ** -0.5
    basis = rng.normal(size=(num_latent, num_features)) / 4
    centres = rng.normal(size=(NUM_CLASSES, num_latent)) * spectrum
    train = np.round(26 + 51 * rng.beta(2.0, 2.1, size=NUM_CLASSES)).astype(int)
    parts = []
    for counts in [train, np.full(NUM_CLASSES, 6), np.full(NUM_CLASSES, 6)]:
        y = np.repeat(np.arange(NUM_CLASSES), counts)
        latent = centres[y] + noise * rng.normal(size=(len(y), num_latent)) * spectrum
        x = latent @ basis + 0.3 * rng.normal(size=(len(y), num_features))
        parts.append((np.maximum(x - 0.2, 0).astype(np.float32)[:, None], y))
    return parts

"""Compares the search with scikit-learn's LogisticRegressionCV, interleaved, on 2 threads.

The features are synthetic, shaped like ResNet50's of the dog breeds: 6,680 x 2,048, 133 classes of 26
to 77 train images, never negative, sparse, a heavy-tailed spectrum. scikit-learn gets the features
centred and scaled as the search does, the same penalties, and the validation split as its one fold.

python compare.py PATH_OF_recipe_fit [REPEATS]
"""

import json, subprocess, sys, tempfile, time

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit
from threadpoolctl import threadpool_limits

program, repeats = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
PENALTIES = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
rng = np.random.default_rng(133)
C, F, K = 133, 2048, 256
counts = np.round(26 + 51 * rng.beta(2.0, 2.1, size=C)).astype(int)
spectrum = (1 + np.arange(K)) ** -0.5
basis = rng.normal(size=(K, F)) / 4
centres = rng.normal(size=(C, K)) * spectrum
splits = {}
for name, num in [("train", counts), ("valid", np.full(C, 6)), ("test", np.full(C, 6))]:
    targets = np.repeat(np.arange(C), num)
    latent = centres[targets] + 1.3 * rng.normal(size=(len(targets), K)) * spectrum
    x = latent @ basis + 0.3 * rng.normal(size=(len(targets), F))
    splits[name] = np.maximum(x - 0.2, 0).astype(np.float32)
    splits[name + "_targets"] = targets.astype(np.float32)
print("train", splits["train"].shape, "valid", splits["valid"].shape, flush=True)
mean = splits["train"].mean(0)
scale = np.sqrt(splits["train"].var(0).mean())
n = len(splits["train"])
x = (np.concatenate([splits["train"], splits["valid"]]) - mean) / scale
y = np.concatenate([splits["train_targets"], splits["valid_targets"]]).astype(int)
fold = PredefinedSplit(np.r_[np.full(n, -1), np.zeros(len(y) - n, int)])
with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
    save_file(splits, file.name)
    for _ in range(repeats):
        own = json.loads(subprocess.check_output([program, file.name, "2"]))
        rate = (own["learning_rate"], own["l2_penalty"], own["best_epoch"], len(own["candidates"]))
        print(f"search: {own['seconds']:.1f} s, valid loss {own['valid']['loss']:.5f}, chose {rate}", flush=True)
        start = time.perf_counter()
        with threadpool_limits(2):
            model = LogisticRegressionCV(
                Cs=[1 / (l2 * n) for l2 in PENALTIES], cv=fold, scoring="neg_log_loss", refit=False, max_iter=1000,
                use_legacy_attributes=True,
            ).fit(x, y)
        seconds = time.perf_counter() - start
        scores = np.asarray(model.scores_[0]).ravel()
        print(f"scikit-learn: {seconds:.1f} s, valid loss {-scores.max():.5f} at {PENALTIES[scores.argmax()]}", flush=True)

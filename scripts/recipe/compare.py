"""Compares the fit of the head with scikit-learn's LogisticRegressionCV, in turn, on 2 threads.

scikit-learn gets the same features, scaled as the program scales them, the same penalties, and the
validation split as its one fold; the time is that of its fit alone. The program's is that of scaling,
epochs and search.

python compare.py PATH_OF_recipe_fit ROUNDS NAME=FEATURES.npz... [digits] [drawn]
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from datasets import digits, drawn, load, resplit
from safetensors.numpy import save_file
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit
from threadpoolctl import threadpool_limits

PENALTIES = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
MIN_DEVIATION = 0.1  # as in src/train/scaling.rs
THREADS = 2

warnings.filterwarnings("ignore", category=FutureWarning)


def run_program(program, split):
    tensors = {}
    for name, (x, y) in zip(["train", "valid", "test"], split):
        tensors |= {name: np.ascontiguousarray(x[:, 0]), name + "_targets": y.astype(np.float32)}
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        save_file(tensors, file.name)
        found = json.loads(subprocess.check_output([program, file.name, str(THREADS)]))
    return found["valid"]["loss"], found["epochs_seconds"] + found["search_seconds"], found


def run_scikit_learn(split):
    (x, y), (x_valid, y_valid), (x_test, y_test) = split
    x, x_valid, x_test = x[:, 0], x_valid[:, 0], x_test[:, 0]
    mean, deviation = x.mean(0), x.std(0)
    deviation = np.maximum(deviation, MIN_DEVIATION * np.sqrt((deviation**2).mean()))
    num_train = len(x)
    x = ((np.concatenate([x, x_valid]) - mean) / deviation).astype(np.float32)
    y = np.concatenate([y, y_valid])
    fold = PredefinedSplit(np.r_[np.full(num_train, -1), np.zeros(len(y) - num_train, int)])
    model = LogisticRegressionCV(
        Cs=[1 / (penalty * num_train) for penalty in PENALTIES],
        cv=fold,
        scoring="neg_log_loss",
        refit=False,
        max_iter=1000,
        use_legacy_attributes=True,
    )
    start = time.perf_counter()
    with threadpool_limits(THREADS):
        model.fit(x, y)
    seconds = time.perf_counter() - start
    losses = -np.asarray(model.scores_[0]).reshape(-1)  # by Cs, that is, from 1e-5 on
    best = losses.argmin()
    parameters = np.stack([model.coefs_paths_[c][0, best] for c in model.classes_])  # [C, F + 1]
    logits = ((x_test - mean) / deviation) @ parameters[:, :-1].T + parameters[:, -1]
    test = np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(y_test)), y_test])
    return losses[best], test, seconds, PENALTIES[best]


def main():
    program, num_rounds = sys.argv[1], int(sys.argv[2])
    names = [f"{who}: {what}" for who in ["scikit-learn", "program"] for what in ["valid", "test", "penalty", "time"]]
    print("| features | round | " + " | ".join(names) + " | valid, difference |")
    print("|---" * 11 + "|")
    for argument in sys.argv[3:]:
        name, _, path = argument.partition("=")
        for index in range(num_rounds):
            if path or name == "digits":
                split = resplit(*(load(path) if path else digits()), index)
            else:
                split = drawn(index, 2048, 3.0)
            own_loss, own_seconds, found = run_program(program, split)
            loss, test, seconds, penalty = run_scikit_learn(split)
            chosen = found["search"]["chosen"]
            print(
                f"| {name} | {index} | {loss:.4f} | {test:.4f} | {penalty:g} | {seconds:.1f} s | {own_loss:.4f} "
                f"| {found['test']['loss']:.4f} | {chosen or 'none'} | {own_seconds:.2f} s | {100 * (own_loss / loss - 1):+.2f} % |",
                flush=True,
            )


main()

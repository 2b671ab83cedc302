"""Prints what each part of the recipe gives, on features that the example recipe_features wrote.

All images are pooled and split anew, by class, with each seed: 5 train, 1 valid and 1 test image of
each class of the sample. Every variant is fitted to its optimum by L-BFGS; its L2 penalty is the one
of the grid with the lowest validation loss. Differences are paired by seed.

python ablate.py FEATURES.safetensors [NUM_SEEDS]
"""

import sys

import numpy as np
import torch
from safetensors.numpy import load_file

GRID = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
torch.set_num_threads(2)


def fit(x, y, l2, classes, smoothing=0.0, weights=None, start=None):
    head = torch.nn.Linear(x.shape[1], classes)
    with torch.no_grad():
        for parameter, value in zip(head.parameters(), start or [torch.tensor(0.0)] * 2):
            parameter.copy_(value.expand_as(parameter))
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=60, history_size=10, line_search_fn="strong_wolfe")
    loss = torch.nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing)

    def closure():
        optimizer.zero_grad()
        value = loss(head(x), y) + l2 / 2 * head.weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    return head


def nll(logits, y):
    return torch.nn.functional.cross_entropy(logits, y).item()


def ece(logits, y, bins=15):
    confidence, top = logits.softmax(1).max(1)
    right = (top == y).float()
    index = (confidence * bins).long().clamp(max=bins - 1)
    return sum(
        abs((right - confidence)[index == i].sum().item()) for i in range(bins)
    ) / len(y)


def temperature(logits, y):
    """Lowest loss over a fine grid of log temperatures."""
    grid = np.exp(np.linspace(-1.5, 1.5, 301))
    return float(min(grid, key=lambda t: nll(logits / t, y)))


def choose(split, classes, standardize=False, power=False, grid=GRID, **options):
    (x, y), (xv, yv), (xt, yt) = split
    if power:
        x, xv, xt = (v.clamp(min=0).sqrt() for v in (x, xv, xt))
    mean = x.mean(0)
    deviation = x.std(0).clamp(min=1e-3) if standardize else x.var(0).mean().sqrt()
    x, xv, xt = ((v - mean) / deviation for v in (x, xv, xt))
    best, start = None, None
    for l2 in sorted(grid, reverse=True):
        head = fit(x, y, l2, classes, start=start, **options)
        start = [p.detach().clone() for p in head.parameters()]
        with torch.no_grad():
            valid, test = head(xv), head(xt)
        if best is None or nll(valid, yv) < best[0]:
            best = (nll(valid, yv), l2, valid, test)
    valid, test = best[2], best[3]
    cooled = test / temperature(valid, yv)
    return {
        "valid NLL": best[0],
        "test NLL": nll(test, yt),
        "test top-1 %": 100 * (test.argmax(1) == yt).float().mean().item(),
        "test ECE": ece(test, yt),
        "NLL at T": nll(cooled, yt),
        "ECE at T": ece(cooled, yt),
    }


def resplit(features, targets, seed, imbalanced):
    rng = np.random.default_rng(seed)
    parts = [[], [], []]
    for c in np.unique(targets):
        rows = rng.permutation(np.flatnonzero(targets == c))
        num_train = len(rows) - 2
        if imbalanced:
            num_train = int(rng.integers(2, num_train + 1))  # 2 to 5: about the breeds' 26 to 77
        parts[0] += list(rows[2 : 2 + num_train])
        parts[1].append(rows[0])
        parts[2].append(rows[1])
    return [(torch.tensor(features[p]), torch.tensor(targets[p])) for p in parts]


data = load_file(sys.argv[1])
num_seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
names = ["train", "valid", "test"]
features = np.concatenate([data[n] for n in names])
targets = np.concatenate([data[n + "_targets"] for n in names]).astype(np.int64)
classes = int(targets.max()) + 1

for imbalanced in [False, True]:
    variants = {
        "chosen L2 penalty": {},
        "fixed 1e-3": dict(grid=[1e-3]),
        "smoothing 0.1": dict(smoothing=0.1),
        "standardized": dict(standardize=True),
        "square root (not affine)": dict(power=True),
    }
    if imbalanced:
        variants = {"chosen L2 penalty": {}, "class-balanced": {}}
    rows = {name: [] for name in variants}
    for seed in range(num_seeds):
        split = resplit(features, targets, seed, imbalanced)
        for name, options in variants.items():
            if name == "class-balanced":
                counts = torch.bincount(split[0][1], minlength=classes).float()
                options = dict(weights=counts.mean() / counts)
            rows[name].append(choose(split, classes, **options))
    base = rows["chosen L2 penalty"]
    print(f"\n{'2 to 5' if imbalanced else '5'} train images a class, {num_seeds} seeds")
    for name, results in rows.items():
        print(f"  {name}")
        for key in results[0]:
            values = np.array([r[key] for r in results])
            delta = values - np.array([r[key] for r in base])
            print(f"    {key:14} {values.mean():8.4f} +- {values.std(ddof=1):.4f}   paired {delta.mean():+.4f} +- {delta.std(ddof=1):.4f}", flush=True)

"""Prints what each part of the recipe gives, as the Markdown table of docs/recipe.md.

Each data set is pooled and split anew, by class, with each seed. Every variant is fitted to its optimum
by L-BFGS. Differences are paired by seed: mean and standard deviation over the seeds.

python ablate.py NUM_SEEDS NAME=FEATURES.npz... [digits] [drawn]

FEATURES.npz is of features.py; `drawn` are 6,680 feature vectors of datasets.py, 256 features each.
"""

import sys

import numpy as np
import torch
from datasets import digits, drawn, load, resplit, thin_out

FIXED, GRID = 1e-3, [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5]
MIN_DEVIATION = 0.1  # as in src/train/scaling.rs
RANGE = np.exp(np.linspace(np.log(0.25), np.log(8), 301))
torch.manual_seed(0)


def cross_entropy(logits, targets, **options):
    return torch.nn.functional.cross_entropy(logits, targets, **options)


def fit(head, x, y, l2, **options):
    """Goes on from `head` to the optimum."""
    optimizer = torch.optim.LBFGS(
        head.parameters(), max_iter=60, history_size=8, tolerance_change=1e-6, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        value = cross_entropy(head(x), y, **options) + l2 / 2 * head.weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)


def scale(split, standardize):
    x = split[0][0].flatten(0, 1)
    mean, variance = x.mean(0), x.var(0, unbiased=False)
    rms = variance.mean().sqrt()
    deviation = variance.sqrt().clamp(min=MIN_DEVIATION * rms) if standardize else rms
    return [((x - mean) / deviation, y) for x, y in split]


def logits_of(split, classes, standardize=False, choose=False, balance=False, smoothing=0.0):
    """Valid's of the centre view, test's [N, V, C] of all."""
    (x, y), (x_valid, y_valid), (x_test, _) = scale(split, standardize)
    counts = torch.bincount(y, minlength=classes)
    options = dict(weight=counts.sum() / classes / counts) if balance else dict(label_smoothing=smoothing)
    head = torch.nn.Linear(x.shape[-1], classes)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    best, worse = None, 0
    for l2 in GRID if choose else [FIXED]:
        fit(head, x[:, 0], y, l2, **options)
        with torch.no_grad():
            valid, test = head(x_valid[:, 0]), head(x_test)
        loss = cross_entropy(valid, y_valid).item()
        if best is None or loss < best[0]:
            best, worse = (loss, valid, test, l2), 0
        elif (worse := worse + 1) == 2:
            break
    return best[1:]


def measures(logits, targets, classes):
    confidence, top = logits.softmax(-1).max(-1)
    right = (top == targets).double()
    bins = (confidence * 15).long().clamp(max=14)
    gaps = [abs((right - confidence)[bins == b].sum().item()) for b in range(15)]
    per_class = [right[targets == c].mean().item() for c in range(classes) if (targets == c).any()]
    return [cross_entropy(logits, targets).item(), 100 * right.mean().item(), 100 * np.mean(per_class), 100 * sum(gaps) / len(targets)]


def temperature(valid, targets):
    return min(RANGE, key=lambda t: cross_entropy(valid / t, targets).item())


PROGRAM = dict(standardize=True, choose=True)
VARIANTS = {
    "base": {},
    "+ standardized": dict(standardize=True),
    "+ penalty chosen": dict(choose=True),
    "+ label smoothing 0.1": dict(smoothing=0.1),
    "+ class-balanced": dict(balance=True),
    "program": PROGRAM,
    "not standardized": dict(choose=True),
    "penalty fixed": dict(standardize=True),
    "with label smoothing 0.1": PROGRAM | dict(smoothing=0.1),
    "with class-balanced": PROGRAM | dict(balance=True),
}


def rows_of(split, classes):
    y_valid, y_test = split[1][1], split[2][1]
    fitted, rows, chosen = {}, {}, {}
    for name, options in VARIANTS.items():
        key = str(sorted(options.items()))
        if key not in fitted:
            fitted[key] = logits_of(split, classes, **options)
        valid, test, l2 = fitted[key]
        chosen[name] = l2
        rows[name] = measures(test[:, 0], y_test, classes)
        if name in ["base", "program", "with label smoothing 0.1"]:
            t = temperature(valid, y_valid)
            label = {"base": "+ temperature", "program": "with temperature"}.get(name, name + " and temperature")
            rows[label] = measures(test[:, 0] / t, y_test, classes)
        if name in ["base", "program"] and test.shape[1] == 10:
            sign = "+" if name == "base" else "with"
            for label, views in [("mirrored view", [0, 1]), ("ten crops", range(10))]:
                logits = test[:, list(views)]
                rows[f"{sign} {label}, logits"] = measures(logits.mean(1), y_test, classes)
                rows[f"{sign} {label}, probabilities"] = measures(logits.softmax(-1).mean(1).log(), y_test, classes)
    return rows, chosen


def main():
    num_seeds = int(sys.argv[1])
    for argument in sys.argv[2:]:
        name, _, path = argument.partition("=")
        sets = {name: lambda seed: drawn(seed, 256, 3.0)}
        if path or name == "digits":
            features, targets = load(path) if path else digits()
            sets = {
                name: lambda seed: resplit(features, targets, seed),
                name + ", thinned out": lambda seed: thin_out(resplit(features, targets, seed), seed),
            }
        for name, split_of in sets.items():
            results, penalties = {}, []
            for seed in range(num_seeds):
                split = [(torch.tensor(x), torch.tensor(y)) for x, y in split_of(seed)]
                rows, chosen = rows_of(split, int(split[0][1].max()) + 1)
                penalties.append(chosen["program"])
                for label, row in rows.items():
                    results.setdefault(label, []).append(row)
            sizes = ", ".join(str(len(y)) for _, y in split)
            print(f"\n### {name}: {sizes} images, {split[0][0].shape[-1]} features, {num_seeds} seeds\n")
            print(f"Chosen penalties: {', '.join(f'{p:g}' for p in penalties)}\n")
            print("| | test loss | top-1, % | top-1 by class, % | ECE, % |\n|---|---|---|---|---|")
            for label, values in results.items():
                values = np.array(values)
                reference = "base" if label.startswith("+") else "program"
                if label not in ("base", "program"):
                    values = values - np.array(results[reference])
                plus = "" if label in ("base", "program") else "+"
                deviation = values.std(0, ddof=1) if num_seeds > 1 else values[0] * 0
                cells = [
                    f"{m:{plus}.{d}f} ± {s:.{d}f}" for m, s, d in zip(values.mean(0), deviation, [3, 1, 1, 1])
                ]
                print(f"| {label} | {' | '.join(cells)} |", flush=True)


main()

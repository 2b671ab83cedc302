"""What every contestant leaves in TrainedModels: the model, and a report on how it got there."""

import argparse
import importlib
import json
import threading
import time
from pathlib import Path

MODEL_DIR = Path("TrainedModels")
MODEL_FILE = MODEL_DIR / "model.pth"
REPORT_FILE = MODEL_DIR / "peer.json"
FEATURES_FILE = MODEL_DIR / "features.npy"


def parser(description):
    """The arguments that all contestants take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, required=True, help="CPUs to use")
    parser.add_argument("--dump-features", action="store_true", help=f"write {FEATURES_FILE}")
    return parser


class Stages:
    """Seconds spent in each named stage; a stage ends where the next begins."""

    def __init__(self):
        self.seconds = {}
        self._last = time.perf_counter()

    def end(self, name):
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now


def import_torch_meanwhile():
    """Loads PyTorch while the engine computes: only saving needs it, and loading it keeps one CPU busy."""
    threading.Thread(target=importlib.import_module, args=("torch",), daemon=True).start()


def finish_cached(arguments, stages, dataset, weights, features, configuration):
    """Fits the head on `[N, 2048] f32` numpy features, evaluates once on test, saves model and report."""
    import numpy

    import head

    if arguments.dump_features:
        MODEL_DIR.mkdir(exist_ok=True)
        numpy.save(FEATURES_FILE, features)
    targets = numpy.array(dataset.targets)
    train, valid, test = (dataset.ranges[split] for split in ("train", "valid", "test"))
    weight, bias = head.fit(features[train], targets[train], len(dataset.class_names))
    accuracies = {
        "valid_top1": head.top1(features[valid], targets[valid], weight, bias),
        "test_top1": head.top1(features[test], targets[test], weight, bias),
    }
    stages.end("fit")

    import torch

    state_dict = torch.load(weights, weights_only=True, mmap=is_zip(weights))
    save_model({**state_dict, "fc.weight": torch.from_numpy(weight), "fc.bias": torch.from_numpy(bias)})
    stages.end("save")
    write_report(stages, dataset, configuration, feature_mean=float(features.mean(dtype="f8")), **accuracies)


def save_model(state_dict):
    import torch

    MODEL_DIR.mkdir(exist_ok=True)
    torch.save({name: tensor.detach() for name, tensor in state_dict.items()}, MODEL_FILE)


def write_report(stages, dataset, configuration, **measures):
    """Prints and writes what the runner reads; `measures` become members of it."""
    report = {"num_images": len(dataset), "configuration": configuration, "stages_s": stages.seconds, **measures}
    REPORT_FILE.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))


def is_zip(path):
    """Whether a checkpoint has the zip format; the older one cannot be memory-mapped."""
    with open(path, "rb") as file:
        return file.read(2) == b"PK"

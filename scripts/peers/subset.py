"""Working directories for the contestants: the same photographs and weights, nothing else."""

import os
import shutil
from pathlib import Path

from dataset import DATA_DIR, SPLITS, WEIGHTS_DIR, Dataset, images_of

# What a subset takes of each class in turn. The dog breeds' splits are 80, 10 and 10 %.
ORDER = ("train", "valid", "test", "train", "train", "train", "train", "train", "train", "train")
# Fewer images per class than this, and classes are left out instead.
MIN_IMAGES_PER_CLASS = 7


def build_inputs(source, weights, destination, num_images=None):
    """Fills `destination/data` from the data set `source`; returns the number of images.

    With `num_images`, takes the first images of each class, and as many classes as leave each with at
    least one image in each split.
    """
    data = destination / DATA_DIR
    shutil.rmtree(destination, ignore_errors=True)
    data.mkdir(parents=True)
    (destination / WEIGHTS_DIR).mkdir()
    place(weights.resolve(), destination / WEIGHTS_DIR / weights.name)
    for path in choose(Dataset(source), source, num_images):
        target = data / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        place(path.resolve(), target)
    return len(Dataset(data))


def choose(dataset, source, num_images):
    if num_images is None or num_images >= len(dataset):
        return dataset.paths
    num_classes = min(len(dataset.class_names), num_images // MIN_IMAGES_PER_CLASS)
    if num_classes < 2:
        raise SystemExit(f"--images must be at least {2 * MIN_IMAGES_PER_CLASS}, it is {num_images}")
    by_class = [in_turn(source, name) for name in dataset.class_names[:num_classes]]
    chosen, depth = [], 0
    while len(chosen) < num_images and any(depth < len(paths) for paths in by_class):
        chosen += [paths[depth] for paths in by_class if depth < len(paths)]
        depth += 1
    return chosen[:num_images]


def in_turn(source, class_name):
    """All images of a class, its splits taken in turn."""
    left = {split: images_of(source / split / class_name) for split in SPLITS}
    paths = []
    while any(left.values()):
        for split in ORDER:
            if left[split]:
                paths.append(left[split].pop(0))
    return paths


def place(source, target):
    """A hard link, or a copy where the file systems differ: each run reads an ordinary file."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def fresh_run_dir(inputs, destination):
    """A working directory with the inputs and an empty TrainedModels, as a first run finds it."""
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    (destination / "data").symlink_to((inputs / "data").resolve(), target_is_directory=True)
    (destination / "TrainedModels").mkdir()
    return destination


def warm_page_cache(inputs):
    """Reads every input once, so the first contestant does not pay for the disk."""
    for path in Path(inputs).rglob("*"):
        if path.is_file():
            path.read_bytes()

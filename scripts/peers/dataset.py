"""The photographs and the weights of a working directory, found as ec2train finds them.

Standard library only: the runner uses it as well as the contestants.
"""

import hashlib
from pathlib import Path

SPLITS = ("train", "valid", "test")
DATA_DIR = Path("data/dogImages")
WEIGHTS_DIR = Path("data/weights")
WEIGHTS_FILE = "resnet50-0676ba61.pth"
# IMAGENET1K_V2 was evaluated at 232, everything else at 256 (torchvision's ResNet50_Weights).
WEIGHTS_FILE_V2 = "resnet50-11ad3fa6.pth"
IMAGE_SUFFIXES = {".jpg", ".jpeg"}

CROP = 224
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
NUM_FEATURES = 2048


class Dataset:
    """The images of the three splits, one after the other; classes are the sorted folders of train."""

    def __init__(self, root=DATA_DIR):
        root = Path(root)
        train = root / SPLITS[0]
        if not train.is_dir():
            raise SystemExit(f"no folder {train}: expected are {root}/{{train,valid,test}}/<class>/*.jpg")
        self.class_names = sorted(entry.name for entry in train.iterdir() if entry.is_dir())
        index = {name: target for target, name in enumerate(self.class_names)}
        self.paths, self.targets, self.ranges = [], [], {}
        for split in SPLITS:
            start = len(self.paths)
            for name in self.class_names:
                for path in images_of(root / split / name):
                    self.paths.append(path)
                    self.targets.append(index[name])
            if len(self.paths) == start:
                raise SystemExit(f"no JPEG file below {root / split}")
            self.ranges[split] = slice(start, len(self.paths))

    def __len__(self):
        return len(self.paths)


def images_of(directory):
    """The JPEG files of a class, sorted; a class may be missing from valid or test."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def find_weights(directory=WEIGHTS_DIR):
    """The checkpoint that ec2train would take."""
    preferred = Path(directory) / WEIGHTS_FILE
    if preferred.is_file():
        return preferred
    found = sorted(Path(directory).glob("resnet50*.pth"))
    if len(found) != 1:
        raise SystemExit(f"{directory} must hold {WEIGHTS_FILE} or a single resnet50*.pth, it holds {len(found)} of them")
    return found[0]


def resize_of(weights):
    """Length of the shorter side before the crop, in pixels."""
    return 232 if weights.name == WEIGHTS_FILE_V2 else 256


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

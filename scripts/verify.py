"""Holds a trained model against PyTorch. Called by verify.sh."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile
from torchvision import models, transforms

NUM_IMAGES = 50
# Levels of 0-255, then absolute differences of logits.
MAX_PIXEL_DIFFERENCE = 1.0
MAX_LOGIT_DIFFERENCE_SAME_PIXELS = 1e-4

ImageFile.LOAD_TRUNCATED_IMAGES = True
sample = sys.argv[1:] == ["--sample"]
if sys.argv[1:] and not sample:
    sys.exit("usage: verify.py [--sample]")
model_dir = Path("TrainedModels/sample" if sample else "TrainedModels")
data_dir = Path("data/sample/images" if sample else "data/dogImages")
failures = []


def report(ok, text):
    print(("ok    " if ok else "FAILED"), text)
    if not ok:
        failures.append(text)


def predict(paths):
    # In f32: what bf16 rounds is measured by compare_peers.sh.
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
    command = ["target/release/ec2train", "predict", "--json", *map(str, paths)]
    output = subprocess.run(command + ["--sample"] * sample, env=env, check=True, stdout=subprocess.PIPE)
    return torch.tensor([prediction["logits"] for prediction in json.loads(output.stdout)])


metadata = json.loads((model_dir / "model.json").read_text())
num_classes = len(metadata["class_names"])
model = models.resnet50(num_classes=num_classes).eval()
for mmap in (False, True):
    state_dict = torch.load(model_dir / "model.pth", weights_only=True, mmap=mmap)
    model.load_state_dict(state_dict, strict=True)
    report(True, f"{model_dir}/model.pth: strict load, weights_only=True, mmap={mmap}, {num_classes} classes")

train = data_dir / "train"
classes = sorted(entry.name for entry in train.iterdir() if entry.is_dir())
report(metadata["class_names"] == classes, "class order is that of torchvision's ImageFolder")

images = sorted(path for path in (data_dir / "test").glob("*/*.*"))
images = random.Random(0).sample(images, min(NUM_IMAGES, len(images)))
resize, crop = metadata["transform"]["resize"], metadata["transform"]["crop"]
to_pixels = transforms.Compose([transforms.Resize(resize, antialias=True), transforms.CenterCrop(crop)])
to_input = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize(metadata["transform"]["mean"], metadata["transform"]["std"])]
)

with tempfile.TemporaryDirectory() as directory, torch.no_grad():
    differences, python_inputs, square_paths = [], [], []
    for index, path in enumerate(images):
        image = Image.open(path).convert("RGB")
        pixels = to_pixels(image)
        python_inputs.append(to_input(pixels))
        dumped = Path(directory, f"{index}.png")
        command = ["target/release/examples/transform_image", str(resize), str(path), str(dumped)]
        subprocess.run(command, check=True)
        ours = torch.from_numpy(np.array(Image.open(dumped), dtype="float32"))
        theirs = torch.from_numpy(np.array(pixels, dtype="float32"))
        differences.append((ours - theirs).abs().mean().item())
        # Shorter side = resize, lossless: both sides see the same pixels without resizing.
        square = Path(directory, f"square{index}.png")
        image.resize((resize, resize)).save(square)
        square_paths.append(square)
    mean, worst = sum(differences) / len(differences), max(differences)
    report(
        worst <= MAX_PIXEL_DIFFERENCE,
        f"preprocessing of {len(images)} images: mean absolute difference {mean:.3f} levels, worst image {worst:.3f}",
    )

    def compare(paths, inputs, limit, what):
        logits = torch.cat([model(batch) for batch in torch.stack(inputs).split(10)])
        ours = predict(paths)
        difference = (ours - logits).abs().max().item()
        agree = (ours.argmax(1) == logits.argmax(1)).float().mean().item()
        text = f"logits from {what}: largest difference {difference:.2e}, same top-1 {100 * agree:.0f} %"
        report(limit is None or difference <= limit, f"{text} (largest logit {logits.abs().max():.2f})")

    square_inputs = [to_input(transforms.CenterCrop(crop)(Image.open(path))) for path in square_paths]
    compare(square_paths, square_inputs, MAX_LOGIT_DIFFERENCE_SAME_PIXELS, "the same pixels")
    compare(images, python_inputs, None, "each side's own preprocessing")

sys.exit(1 if failures else 0)

"""Holds each exported file against `ec2train predict`. Called by check_export.sh."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms

import readers

NUM_IMAGES = 6
BATCH_SIZES = (1, 3)
# In parts of the largest logit.
MAX_DIFFERENCE = 1e-3


def predict(paths, sample):
    # In f32: bf16 rounds more than what is looked for here.
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
    command = [os.environ["EC2TRAIN"], "predict", "--json", *map(str, paths)]
    output = subprocess.run(command + ["--sample"] * sample, env=env, check=True, stdout=subprocess.PIPE)
    return torch.tensor([prediction["logits"] for prediction in json.loads(output.stdout)])


def main():
    sample = sys.argv[1:] == ["--sample"]
    model_dir = Path("TrainedModels/sample" if sample else "TrainedModels")
    data_dir = Path("data/sample/images" if sample else "data/dogImages")
    metadata = json.loads((model_dir / "model.json").read_text())
    resize, crop, mean, std = (metadata["transform"][key] for key in ("resize", "crop", "mean", "std"))
    to_input = transforms.Compose(
        [transforms.CenterCrop(crop), transforms.ToTensor(), transforms.Normalize(mean, std)]
    )
    images = sorted((data_dir / "test").glob("*/*.*"))
    images = random.Random(0).sample(images, NUM_IMAGES)
    failed = False
    with tempfile.TemporaryDirectory() as directory, torch.no_grad():
        squares, inputs, own_inputs = [], [], []
        for index, path in enumerate(images):
            image = Image.open(path).convert("RGB")
            # Lossless and of the resized size: both sides see the same pixels. Where each resizes by
            # itself they differ by 0.2 levels on average.
            square = Path(directory, f"{index}.png")
            image.resize((resize, resize)).save(square)
            squares.append(square)
            inputs.append(to_input(Image.open(square)))
            own_inputs.append(to_input(transforms.Resize(resize, antialias=True)(image)))
        inputs, own_inputs = torch.stack(inputs), torch.stack(own_inputs)
        expected, own_expected = predict(squares, sample), predict(images, sample)
        scale = expected.abs().max().item()
        for name, read in readers.READERS.items():
            logits, notes = read(model_dir, metadata)
            worst = 0
            for batch_size in BATCH_SIZES:
                found = torch.cat([logits(batch) for batch in inputs.split(batch_size)])
                assert found.shape == expected.shape and found.dtype == torch.float32, name
                worst = max(worst, (found - expected).abs().max().item() / scale)
            if hasattr(logits, "photographs"):
                worst = max(worst, (logits.photographs(squares) - expected).abs().max().item() / scale)
            own = (logits(own_inputs[:3]) - own_expected[:3]).abs().max().item() / scale
            ok = worst <= MAX_DIFFERENCE
            failed |= not ok
            print(
                f"{'ok    ' if ok else 'FAILED'} {name}: {notes}; logits within {worst:.1e} of the largest,"
                f" {scale:.2f}, in batches of {' and '.join(map(str, BATCH_SIZES))}"
                f" ({own:.1e} with torchvision's resizing)"
            )
    sys.exit(1 if failed else 0)


main()

"""Writes resnet50_tensors.txt: name, dtype and shape of every tensor of torchvision's resnet50()."""

from pathlib import Path

import torchvision

lines = [
    " ".join([name, str(tensor.dtype).removeprefix("torch."), *map(str, tensor.shape)])
    for name, tensor in torchvision.models.resnet50().state_dict().items()
]
Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")

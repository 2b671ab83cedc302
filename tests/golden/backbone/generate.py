"""Writes features.safetensors: what torchvision's resnet50 computes with weights from a formula.

The formula is ../formula.py.
Needs numpy, safetensors, torch and torchvision. Run in this folder: python generate.py
"""

import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

sys.path.append("..")
from formula import tensor, uniform  # noqa: E402

model = resnet50().eval()
state_dict = {
    name: tensor(stream, name, like) for stream, (name, like) in enumerate(model.state_dict().items())
}
model.load_state_dict(state_dict, strict=True)
model.fc = torch.nn.Identity()

# Two images, [N, H, W, C] as in memory, in the range of normalized pixels.
pixels = (4 * uniform(1000, 2 * 224 * 224 * 3) - 2).astype(np.float32).reshape(2, 224, 224, 3)
with torch.no_grad():
    features = model(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous())
print(features.mean().item(), features.std(0).mean().item(), features.max().item())
save_file({"features": features.contiguous()}, "features.safetensors")

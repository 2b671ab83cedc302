"""Writes expected.safetensors: gradients and losses that PyTorch computes for layer4 with the head.

Weights are those of ../formula.py. Gradients are computed in float64, from two images: of
each parameter the norm and up to 64 elements, evenly spaced. Losses are those of ten steps in float32,
on two batches in turn. Needs numpy, safetensors, torch and torchvision.
Run in this folder: python generate.py
"""

import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

sys.path.append("..")
from formula import tensor, uniform  # noqa: E402

NUM_SAMPLES = 64
NUM_CLASSES = 1000


def activations(stream, num_images):
    """Half of them zero, as after a ReLU. [N, H, W, C] in memory, rounded to bf16."""
    values = np.maximum(0, 2 * uniform(stream, num_images * 14 * 14 * 1024) - 1)
    x = torch.from_numpy(values.astype(np.float32)).bfloat16().float()
    return x.reshape(num_images, 14, 14, 1024).permute(0, 3, 1, 2)


def load():
    model = resnet50(num_classes=NUM_CLASSES).eval()
    streams = enumerate(model.state_dict().items())
    model.load_state_dict({name: tensor(stream, name, like) for stream, (name, like) in streams})
    return model


def loss(model, x, targets):
    logits = model.fc(model.layer4(x).mean((2, 3)))
    return torch.nn.functional.cross_entropy(logits, torch.tensor(targets))


def trained(model):
    return [(n, p) for n, p in model.named_parameters() if n.startswith(("layer4.", "fc."))]


expected = {}
model = load().double()
loss(model, activations(2000, 2).double(), [3, 141]).backward()
for name, parameter in trained(model):
    gradient = parameter.grad.flatten()
    stride = max(1, gradient.numel() // NUM_SAMPLES)
    expected[f"{name}.norm"] = gradient.norm().reshape(1)
    expected[f"{name}.samples"] = gradient[::stride][:NUM_SAMPLES].clone()

model = load()
optimizer = torch.optim.SGD(
    [
        {
            "params": [parameter],
            "lr": 1e-2 if name.startswith("fc.") else 1e-3,
            "weight_decay": 1e-4 if parameter.dim() > 1 else 0.0,
        }
        for name, parameter in trained(model)
    ],
    momentum=0.9,
)
batches = [(activations(2001 + i, 4), [7 + i, 77 + i, 777 - i, 7 + i]) for i in range(2)]
losses = []
for step in range(10):
    value = loss(model, *batches[step % 2])
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    losses.append(value.item())
print(losses)
expected["losses"] = torch.tensor(losses, dtype=torch.float64)
save_file(expected, "expected.safetensors")

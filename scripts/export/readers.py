"""The programs that read exported files: each gives a function from `[N, 3, 224, 224]` to `[N, C]` f32."""

import json

import safetensors
import safetensors.torch
from torchvision import models


def check_description(description, metadata):
    assert json.loads(description["class_names"]) == metadata["class_names"]
    assert json.loads(description["transform"]) == metadata["transform"]
    assert description["model_sha256"] == metadata["model_sha256"]


def torchvision_model(model_dir, metadata):
    path = model_dir / "export/model.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        check_description(file.metadata(), metadata)
    model = models.resnet50(num_classes=len(metadata["class_names"])).eval()
    model.load_state_dict(safetensors.torch.load_file(path), strict=True)
    return model, "safetensors.torch.load_file, torchvision's strict load"


READERS = {
    "model.safetensors": torchvision_model,
}

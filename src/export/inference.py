"""Lets PyTorch's container on SageMaker take photographs: the body of a request with content type
`image/jpeg`, `image/png` or another that Pillow reads is transformed as in training and answered with
`[[logits]]`, classes in the order of `class_names` in model.json.

Loading the model, other content types and the form of answers are left to the container."""

import io
import json
from pathlib import Path

from PIL import Image
from sagemaker_pytorch_serving_container.default_pytorch_inference_handler import DefaultPytorchInferenceHandler
from torchvision import transforms

_transform = json.loads((Path(__file__).parent.parent / "model.json").read_text())["transform"]
_to_input = transforms.Compose(
    [
        transforms.Resize(_transform["resize"]),
        transforms.CenterCrop(_transform["crop"]),
        transforms.ToTensor(),
        transforms.Normalize(_transform["mean"], _transform["std"]),
    ]
)


def input_fn(body, content_type):
    if not content_type.startswith("image/"):
        return DefaultPytorchInferenceHandler().default_input_fn(body, content_type)
    image = Image.open(io.BytesIO(body)).convert("RGB")
    return _to_input(image).unsqueeze(0)

"""The programs that read exported files: each gives a function from `[N, 3, 224, 224]` to `[N, C]` f32."""

import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import safetensors
import safetensors.torch
import torch
from sagemaker_pytorch_serving_container.handler_service import HandlerService
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


def onnx_runtime(model_dir, metadata):
    path = str(model_dir / "export/model.onnx")
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    check_description(session.get_modelmeta().custom_metadata_map, metadata)

    def logits(images):
        return torch.from_numpy(session.run(["logits"], {"input": images.numpy()})[0])

    return logits, "onnx.checker with shape inference, onnxruntime"


def torchscript(model_dir, metadata):
    extra = {"model.json": ""}
    model = torch.jit.load(model_dir / "export/model.pt", _extra_files=extra)
    assert json.loads(extra["model.json"]) == metadata
    model.eval()
    return model, "torch.jit.load, model.json inside"


class Context:
    """What TorchServe hands to the toolkit with a request."""

    def __init__(self, model_dir):
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.request, self.status, self.content_type = {}, 200, None

    def get_request_properties(self):
        return self.request

    def set_response_content_type(self, _, content_type):
        self.content_type = content_type

    def set_response_status(self, code, phrase):
        self.status = code


def sagemaker(model_dir, metadata):
    # For as long as this process lives.
    folder = tempfile.TemporaryDirectory()
    with tarfile.open(model_dir / "export/model.tar.gz") as archive:
        archive.extractall(folder.name, filter="data")
    assert json.loads(Path(folder.name, "model.json").read_text()) == metadata
    context = Context(folder.name)
    service = HandlerService()
    service.initialize(context)

    def ask(body, content_type):
        context.request = {"Content-Type": content_type, "Accept": "application/json"}
        [answer] = service.handle([{"body": body}], context)
        assert context.status == 200, answer
        assert context.content_type == "application/json"
        return torch.tensor(json.loads(answer), dtype=torch.float32)

    def logits(images, folder=folder):
        array = io.BytesIO()
        np.save(array, images.numpy())
        answer = ask(array.getvalue(), "application/x-npy")
        assert torch.equal(ask(json.dumps(images.tolist()).encode(), "application/json"), answer)
        return answer

    return logits, "sagemaker-pytorch-inference's default handlers, NPY and JSON"


READERS = {
    "model.safetensors": torchvision_model,
    "model.onnx": onnx_runtime,
    "model.pt": torchscript,
    "model.tar.gz": sagemaker,
}

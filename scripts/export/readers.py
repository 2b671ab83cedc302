"""The programs that read exported files: each gives a function from `[N, 3, 224, 224]` to `[N, C]` f32."""

import io
import json
import sys
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


def check_model_json(text, metadata):
    description = json.loads(text)
    assert description == {key: metadata[key] for key in description}
    assert {"class_names", "transform", "model_sha256"} <= description.keys()


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
    check_model_json(extra["model.json"], metadata)
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


class Endpoint:
    """The toolkit as the container runs it, on an unpacked model.tar.gz."""

    def __init__(self, archive_path):
        self.folder = tempfile.TemporaryDirectory()
        with tarfile.open(archive_path) as archive:
            archive.extractall(self.folder.name, filter="data")
        # As the container does before it starts its server.
        sys.path.insert(0, f"{self.folder.name}/code")
        self.context = Context(self.folder.name)
        self.service = HandlerService()
        self.service.initialize(self.context)

    def ask(self, body, content_type):
        self.context.request = {"Content-Type": content_type, "Accept": "application/json"}
        [answer] = self.service.handle([{"body": body}], self.context)
        assert self.context.status == 200, answer
        assert self.context.content_type == "application/json"
        return torch.tensor(json.loads(answer), dtype=torch.float32)

    def photographs(self, paths):
        return torch.cat([self.ask(bytearray(path.read_bytes()), "image/png") for path in paths])

    def __call__(self, images):
        array = io.BytesIO()
        np.save(array, images.numpy())
        answer = self.ask(array.getvalue(), "application/x-npy")
        assert torch.equal(self.ask(json.dumps(images.tolist()).encode(), "application/json"), answer)
        return answer


def sagemaker(model_dir, metadata):
    endpoint = Endpoint(model_dir / "export/model.tar.gz")
    check_model_json(Path(endpoint.folder.name, "model.json").read_text(), metadata)
    return endpoint, "sagemaker-pytorch-inference, NPY, JSON and photographs"


READERS = {
    "model.safetensors": torchvision_model,
    "model.onnx": onnx_runtime,
    "model.pt": torchscript,
    "model.tar.gz": sagemaker,
}

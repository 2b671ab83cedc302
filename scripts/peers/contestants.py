"""Who is compared, and the command of each."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import machine
from dataset import sha256_of

HERE = Path(__file__).resolve().parent
ORIGINAL = "a"
EC2TRAIN = "e"


@dataclass(frozen=True)
class Contestant:
    """`command` runs in a working directory and leaves TrainedModels/model.pth there."""

    key: str
    name: str
    command: list
    env: dict = field(default_factory=dict)

    @property
    def computes_features(self):
        """Whether it computes the eval transform's features in eval mode, as all but the original do."""
        return self.key != ORIGINAL


class Converted:
    """Files that convert.py makes of the weights, before anything is timed."""

    def __init__(self, caches, weights, cap):
        name = f"resnet50-{sha256_of(weights)[:16]}"
        self.bf16 = machine.has_bf16(cap)
        self.onnx = caches / f"{name}.onnx"
        self.ir = caches / f"{name}.xml"
        # Compiled for one level of instructions.
        self.package = caches / f"{name}-{machine.level(cap)}-{'bf16' if self.bf16 else 'fp32'}.pt2"

    def conversions(self):
        """Arguments of convert.py for each file."""
        return {self.onnx: [], self.package: ["--bf16"] if self.bf16 else []}


def all_contestants(python, ec2train, converted, caches, threads, original_epochs):
    """In the order of a round."""
    run = lambda script, *arguments: [str(python), str(HERE / script), "--threads", str(threads), *map(str, arguments)]
    bf16 = ["--bf16"] if converted.bf16 else []
    return [
        Contestant(ORIGINAL, "the original's way", run("run_original.py", "--epochs", original_epochs)),
        # With frozen weights inductor bypasses its graph cache: each run compiles, but for the C++ kernels.
        Contestant(
            "b",
            "PyTorch, torch.compile",
            run("run_pytorch.py", "--engine", "compile", *bf16),
            {"TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor")},
        ),
        Contestant("b-eager", "PyTorch, eager, folded", run("run_pytorch.py", "--engine", "folded", *bf16)),
        Contestant("b-ahead", "PyTorch, compiled ahead", run("run_pytorch_ahead.py", "--package", converted.package)),
        Contestant(
            "c",
            "OpenVINO",
            run("run_openvino.py", "--model", converted.ir, "--cache", caches / "openvino", *bf16),
        ),
        Contestant("d", "ONNX Runtime", run("run_onnxruntime.py", "--model", converted.onnx)),
        Contestant(EC2TRAIN, "ec2train", [str(ec2train)]),
    ]


def environment(contestant, threads, cap):
    """The caller's environment without what would disturb, plus the number of threads and the cap."""
    dropped = ("OMP_", "KMP_", "MKL_", "GOMP_", "ONEDNN_", "DNNL_", "ATEN_", "LD_PRELOAD", "PYTHONPATH", "CUDA_VISIBLE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {
        **env,
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
        "RUST_LOG": "warn",
        # Compiled Python files belong to the installation, which no contestant is charged for.
        "PYTHONDONTWRITEBYTECODE": "",
        **machine.caps_environment(cap),
        **contestant.env,
    }

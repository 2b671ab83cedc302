"""Who is compared, and the command of each."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import machine

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


def all_contestants(python, ec2train, onnx, caches, threads, cap, original_epochs):
    """In the order of a round. `onnx` is the converted backbone, with the IR beside it."""
    run = lambda script, *arguments: [str(python), str(HERE / script), "--threads", str(threads), *map(str, arguments)]
    bf16 = ["--bf16"] if machine.has_amx(cap) else []
    inductor = {"TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"), "TORCHINDUCTOR_FX_GRAPH_CACHE": "1"}
    return [
        Contestant(ORIGINAL, "the original's way", run("run_original.py", "--epochs", original_epochs)),
        Contestant("b", "PyTorch, torch.compile", run("run_pytorch.py", "--engine", "compile", *bf16), inductor),
        Contestant("b-eager", "PyTorch, eager, folded", run("run_pytorch.py", "--engine", "folded", *bf16)),
        Contestant(
            "c",
            "OpenVINO",
            run("run_openvino.py", "--model", onnx.with_suffix(".xml"), "--cache", caches / "openvino", *bf16),
        ),
        Contestant("d", "ONNX Runtime", run("run_onnxruntime.py", "--model", onnx)),
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

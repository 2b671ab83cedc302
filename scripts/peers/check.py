"""Whether the contestants compute the same features, on a few photographs."""

import json
import subprocess
from itertools import combinations

import numpy
import torch

from dataset import NUM_FEATURES, Dataset, sha256_of

MIN_COSINE_FP32 = 0.9999
# Each engine rounds bf16 in other places.
MIN_COSINE_BF16 = 0.999


def features_of_peer(run_dir):
    """What `--dump-features` left, `[N, 2048] f32`."""
    return numpy.load(run_dir / "TrainedModels/features.npy")


def features_of_ec2train(ec2train, run_dir, env):
    """The same from a finished run of ec2train, `[N, 2048] f32`.

    Through its public interface: the saved head is replaced by one that passes the features on, and
    `predict --json` prints the logits.
    """
    model_path, metadata_path = run_dir / "TrainedModels/model.pth", run_dir / "TrainedModels/model.json"
    state_dict = dict(torch.load(model_path, weights_only=True))
    state_dict["fc.weight"], state_dict["fc.bias"] = torch.eye(NUM_FEATURES), torch.zeros(NUM_FEATURES)
    torch.save(state_dict, model_path)
    metadata = json.loads(metadata_path.read_text())
    metadata["class_names"] = [f"feature {index}" for index in range(NUM_FEATURES)]
    metadata["model_sha256"] = sha256_of(model_path)
    metadata_path.write_text(json.dumps(metadata))
    paths = Dataset(run_dir / "data/dogImages").paths
    command = [str(ec2train), "predict", "--json", *(str(path.relative_to(run_dir)) for path in paths)]
    output = subprocess.run(command, cwd=run_dir, env=env, check=True, stdout=subprocess.PIPE).stdout
    return numpy.array([prediction["logits"] for prediction in json.loads(output)], dtype="f4")


def compare(features):
    """For each pair of contestants: the smallest cosine of the same photograph's features, and the share
    of photographs whose features, centred, are nearest to the other's of the same photograph.

    Pooled features are positive, so any two have a high cosine; the share tells photographs apart.
    """
    centre = numpy.mean([rows.mean(0) for rows in features.values()], axis=0)
    pairs = {}
    for (left, rows), (right, others) in combinations(features.items(), 2):
        nearest = (unit(rows - centre) @ unit(others - centre).T).argmax(1)
        pairs[f"{left} and {right}"] = {
            "smallest_cosine": float((unit(rows) * unit(others)).sum(1).min()),
            "matched": float((nearest == numpy.arange(len(rows))).mean()),
        }
    return pairs


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)

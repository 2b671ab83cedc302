"""Weights by a formula, which stands in tests/backbone/formula.rs too: no 100 MB have to be stored."""

import numpy as np
import torch


def uniform(stream, count):
    """`count` numbers in [0, 1): the upper 24 bits of SplitMix64 at stream * 2^32 + index."""
    z = np.arange(count, dtype=np.uint64) + np.uint64(stream << 32)
    z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def tensor(stream, name, like):
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    values = uniform(stream, like.numel())
    if like.dim() > 1:
        # Uniform with the variance of He et al. 2015.
        bound = np.sqrt(6 / (like.numel() / like.shape[0]))
        values = bound * (2 * values - 1)
    elif name.endswith("running_var"):
        values = 0.5 + values
    elif name.endswith("weight"):
        # The last norm of a bottleneck is small, so that 16 sums do not explode.
        values = (0.2 if ".bn3." in name else 1.0) * (0.75 + 0.5 * values)
    else:
        values = 0.2 * (values - 0.5)
    return torch.from_numpy(values.astype(np.float32).reshape(like.shape))

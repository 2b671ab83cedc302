"""Puts the splits that the example recipe_features wrote into one file for ablate.py and compare.py.

python pool.py FEATURES.safetensors OUT.npz
"""

import sys

import numpy as np
from safetensors.numpy import load_file

data = load_file(sys.argv[1])
names = ["train", "valid", "test"]
features = np.concatenate([data[name] for name in names])
targets = np.concatenate([data[name + "_targets"] for name in names]).astype(np.int64)
np.savez(sys.argv[2], features=features, targets=targets)

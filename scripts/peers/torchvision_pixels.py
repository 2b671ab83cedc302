"""Decoding and the eval transform by torchvision.

On bytes and with antialiasing its result differs from Pillow's by 0.002 of 255 levels on average; it took
two thirds of the time.
"""

import numpy
import torch
from PIL import Image, ImageFile
from torch.utils.data import Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

from dataset import CROP, resize_of

# Photographs that end early are used as far as they decode.
ImageFile.LOAD_TRUNCATED_IMAGES = True


class EvalImages(Dataset):
    """Item i is the i-th path's image, `[3, 224, 224] u8`."""

    def __init__(self, paths, weights):
        self.paths = paths
        self.transform = v2.Compose([v2.Resize(resize_of(weights), antialias=True), v2.CenterCrop(CROP)])

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.transform(decode(self.paths[index]))


def decode(path):
    """RGB pixels `[3, H, W] u8` of a JPEG file."""
    try:
        return decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB)
    except RuntimeError:
        # torchvision refuses truncated files, and CMYK in some versions.
        return torch.from_numpy(numpy.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)

"""Decoding and the eval transform by Pillow, for the engines that do not load PyTorch to decode."""

import numpy
from PIL import Image, ImageFile

from dataset import CROP

# Photographs that end early are used as far as they decode.
ImageFile.LOAD_TRUNCATED_IMAGES = True


def load_batch(paths, batch_size, resize):
    """Images `[batch_size, 224, 224, 3] u8`; rows after the last path are zero."""
    batch = numpy.zeros((batch_size, CROP, CROP, 3), numpy.uint8)
    for row, path in enumerate(paths):
        batch[row] = load(path, resize)
    return batch


def load(path, resize):
    """One image, `[224, 224, 3] u8`.

    Computes only what the crop keeps of torchvision's Resize and CenterCrop: a fifth faster for 0.02 of 255
    levels of mean difference. Sizes and offsets are rounded as torchvision rounds them.
    """
    image = Image.open(path).convert("RGB")
    width, height = image.size
    if width <= height:
        resized = resize, int(resize * height / width)
    else:
        resized = int(resize * width / height), resize
    left, top = (round((side - CROP) / 2) for side in resized)
    scale_x, scale_y = width / resized[0], height / resized[1]
    box = left * scale_x, top * scale_y, (left + CROP) * scale_x, (top + CROP) * scale_y
    return numpy.asarray(image.resize((CROP, CROP), Image.Resampling.BILINEAR, box=box))

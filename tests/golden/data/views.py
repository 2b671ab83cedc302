"""Writes the golden files of the tests of random views into this folder.

    python views.py        (Pillow 12, torchvision 0.28)

views.bin        for every entry of CASES the output of torchvision's crop, resize and flip on the
                 pattern of that size, [side, side, 3] u8
ten_crop.bin     for every size of TEN_CROPS the centre and the four corners (left before right, top
                 before bottom) of the pattern of that size, resized to 32, [24, 24, 3] u8 each, the
                 mirrored crop after each
random_crop.txt  what torchvision's RandomResizedCrop.get_params draws: `means` of left, top, width,
                 height and area for a size of image, and the `fallback` rectangle, left, top,
                 width and height, of a size in which nothing that is drawn fits
"""

from pathlib import Path

import numpy as np
import torch
from generate import pattern
from PIL import Image
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as F

HERE = Path(__file__).parent
RATIO = (3 / 4, 4 / 3)
NUM_DRAWS = 100_000

# (width, height, left, top, crop width, crop height, mirrored, side)
CASES = [
    (1, 1, 0, 0, 1, 1, False, 24),
    (60, 40, 0, 0, 60, 40, False, 24),
    (60, 40, 7, 5, 31, 24, False, 24),
    (60, 40, 7, 5, 31, 24, True, 24),
    (60, 40, 59, 39, 1, 1, True, 24),
    (60, 40, 10, 10, 24, 24, True, 24),
    (200, 150, 40, 3, 130, 147, False, 24),
    (200, 150, 69, 0, 131, 100, True, 25),
    (300, 20, 137, 0, 27, 20, False, 24),
    (20, 300, 0, 137, 20, 27, True, 24),
    (97, 131, 50, 60, 9, 12, False, 32),
]

# (width, height)
TEN_CROPS = [(60, 40), (31, 97), (200, 150)]


def write_views() -> None:
    with open(HERE / "views.bin", "wb") as out:
        for width, height, left, top, crop_width, crop_height, mirrored, side in CASES:
            image = pattern(width, height)
            size = [side, side]
            view = F.resized_crop(image, top, left, crop_height, crop_width, size, antialias=True)
            if mirrored:
                view = F.horizontal_flip(view)
            out.write(np.asarray(view).tobytes())


def write_ten_crops() -> None:
    with open(HERE / "ten_crop.bin", "wb") as out:
        for width, height in TEN_CROPS:
            resized = F.resize(pattern(width, height), 32, antialias=True)
            *corners, centre = F.five_crop(resized, 24)
            for view in [centre, *corners]:
                out.write(np.asarray(view).tobytes())
                out.write(np.asarray(F.horizontal_flip(view)).tobytes())


def draw(width: int, height: int, scale: tuple[float, float]) -> tuple[int, int, int, int]:
    top, left, crop_height, crop_width = RandomResizedCrop.get_params(
        Image.new("L", (width, height)), scale, RATIO
    )
    return left, top, crop_width, crop_height


def write_random_crop() -> None:
    torch.manual_seed(0)
    with open(HERE / "random_crop.txt", "w") as out:
        for width, height in [(500, 375), (333, 500), (40, 200)]:
            draws = np.array([draw(width, height, (0.08, 1.0)) for _ in range(NUM_DRAWS)])
            means = [*draws.mean(axis=0), (draws[:, 2] * draws[:, 3]).mean()]
            print("means", width, height, *(f"{mean:.3f}" for mean in means), file=out)
        for width, height in [
            (1, 1), (1, 3000), (3000, 1), (3000, 20), (20, 3000), (7, 2), (2, 7), (9, 3),
            (401, 100), (100, 402),
        ]:  # fmt: skip
            print("fallback", width, height, *draw(width, height, (1.0, 1.0)), file=out)


if __name__ == "__main__":
    write_views()
    write_ten_crops()
    write_random_crop()

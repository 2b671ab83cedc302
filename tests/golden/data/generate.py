"""Writes the golden files of the decode and transform tests into this folder.

    python generate.py        (Pillow 12, torchvision 0.28, numpy 2)

images/NAME.EXT      a small image file in one of the modes and encodings that users have
images/NAME.rgb      the pixels that Pillow's `convert("RGB")` makes of it, [30, 40, 3] u8, raw
truncation/NAME.jpg  larger JPEGs of the same textured picture, to be cut off by the tests
resize_crop.bin      for every entry of CASES the output of torchvision's Resize + CenterCrop on the
                     pattern of that size; `pattern` is repeated in tests/transform.rs
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torchvision.transforms import v2

HERE = Path(__file__).parent
IMAGES = HERE / "images"
WIDTH, HEIGHT = 40, 30

# (width, height, resize, crop, step): every `step`-th pixel of the crop is kept, in both directions.
CASES = [
    (1, 1, 32, 28, 1),
    (1, 7, 32, 28, 1),
    (7, 1, 32, 28, 1),
    (28, 28, 32, 28, 1),
    (32, 32, 32, 28, 1),
    (32, 35, 32, 28, 1),
    (64, 48, 32, 28, 1),
    (48, 65, 32, 28, 1),
    (203, 151, 32, 28, 1),
    (151, 203, 32, 28, 1),
    (1000, 10, 32, 28, 1),
    (10, 1000, 32, 28, 1),
    (31, 517, 32, 27, 1),
    (97, 64, 32, 32, 1),
    (500, 375, 256, 224, 8),
    (333, 500, 232, 224, 8),
]


def picture() -> Image.Image:
    """Colour ramps with an ellipse and lines: smooth areas as well as edges."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([x * 6, y * 8, 255 - x * 3 - y * 4], axis=-1).astype(np.uint8)
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    draw.ellipse([22, 6, 36, 24], fill=(250, 220, 20))
    draw.line([2, 27, 20, 3], fill=(10, 20, 30), width=2)
    return image


def write_images() -> None:
    IMAGES.mkdir(exist_ok=True)
    rgb = picture()
    gray = rgb.convert("L")
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1)))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    gray_alpha = Image.merge("LA", [gray, alpha])
    palette = rgb.quantize(32, dither=Image.Dither.NONE)
    gray16 = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees to view

    def save(name: str, image: Image.Image, pixels: Image.Image | None = None, **options) -> None:
        path = IMAGES / name
        image.save(path, **options)
        with Image.open(path) as stored:
            decoded = (pixels or stored).convert("RGB")
        assert decoded.size == (WIDTH, HEIGHT), name
        path.with_suffix(".rgb").write_bytes(decoded.tobytes())

    jpeg = {"quality": 90}
    save("jpeg_444.jpg", rgb, subsampling="4:4:4", **jpeg)
    save("jpeg_422.jpg", rgb, subsampling="4:2:2", **jpeg)
    save("jpeg_420.jpg", rgb, subsampling="4:2:0", **jpeg)
    save("jpeg_restart.jpg", rgb, subsampling="4:2:0", restart_marker_rows=1, **jpeg)
    save("jpeg_progressive.jpg", rgb, progressive=True, subsampling="4:2:0", **jpeg)
    save("jpeg_progressive_gray.jpg", gray, progressive=True, **jpeg)
    save("jpeg_gray.jpg", gray, **jpeg)
    save("jpeg_rgb.jpg", rgb, keep_rgb=True, **jpeg)
    save("jpeg_cmyk.jpg", rgb.convert("CMYK"), **jpeg)
    save_relabelled("jpeg_cmyk.jpg", "jpeg_ycck.jpg", adobe_transform=2)
    save_relabelled("jpeg_cmyk.jpg", "jpeg_cmyk_unmarked.jpg", adobe_transform=None)
    save("jpeg_exif_rotated.jpg", rgb, exif=exif, **jpeg)
    save("png_rgb.png", rgb)
    save("png_rgba.png", rgba)
    save("png_gray.png", gray)
    save("png_gray_alpha.png", gray_alpha)
    save("png_palette.png", palette)
    save("png_palette_transparent.png", palette, transparency=5)
    save("png_1bit.png", gray.convert("1"))
    # Pillow clips 16-bit gray to 255; the scaled values are what a picture's viewer shows.
    save("png_gray16.png", gray16, pixels=gray)
    save("gif_animated.gif", palette, save_all=True, append_images=[palette.rotate(180)])
    save("gif_transparent.gif", palette, transparency=5)
    save("bmp_rgb.bmp", rgb)
    save("bmp_palette.bmp", palette)
    save("bmp_1bit.bmp", gray.convert("1"))
    save("tiff_rgb.tif", rgb)
    save("tiff_lzw.tiff", rgb, compression="tiff_lzw")
    save("tiff_gray.tif", gray)
    save("tiff_cmyk.tif", rgb.convert("CMYK"))
    save("tiff_1bit.tif", gray.convert("1"))
    save("webp_lossless.webp", rgb, lossless=True)
    save("webp_lossless_alpha.webp", rgba, lossless=True, exact=True)
    save("webp_lossy.webp", rgb, quality=90)


def save_relabelled(source: str, name: str, adobe_transform: int | None) -> None:
    """The data of a CMYK JPEG under another colour transform, or without Adobe's marker at all."""
    stored = bytearray((IMAGES / source).read_bytes())
    marker = stored.index(b"\xff\xee\x00\x0eAdobe")
    if adobe_transform is None:
        del stored[marker : marker + 16]
    else:
        stored[marker + 15] = adobe_transform
    path = IMAGES / name
    path.write_bytes(stored)
    with Image.open(path) as image:
        assert image.mode == "CMYK", name
        path.with_suffix(".rgb").write_bytes(image.convert("RGB").tobytes())


def write_truncation() -> None:
    """160 x 120, smooth shapes under coarse noise: about what a photograph's file holds."""
    folder = HERE / "truncation"
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(1).integers(0, 60, (30, 40, 3), dtype=np.uint8)
    large = picture().resize((160, 120), Image.Resampling.BICUBIC)
    noise = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    image = Image.fromarray(np.asarray(large) // 4 * 3 + np.asarray(noise))
    options = {"quality": 85, "subsampling": "4:2:0"}
    image.save(folder / "baseline.jpg", **options)
    image.save(folder / "restart.jpg", restart_marker_blocks=3, **options)
    image.save(folder / "progressive.jpg", progressive=True, **options)
    image.save(
        folder / "progressive_restart.jpg", progressive=True, restart_marker_rows=1, **options
    )
    image.convert("CMYK").save(folder / "progressive_cmyk.jpg", progressive=True, quality=85)


def pattern(width: int, height: int) -> Image.Image:
    """Integers only, so that any language draws the same; wraps around, so that edges abound."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return Image.fromarray(((x * 7 + y * 13 + c * 85 + (x * y) % 31 * 5) % 256).astype(np.uint8))


def write_resize_crop() -> None:
    with open(HERE / "resize_crop.bin", "wb") as out:
        for width, height, resize, crop, step in CASES:
            transform = v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(crop)])
            pixels = np.asarray(transform(pattern(width, height)))
            assert pixels.shape == (crop, crop, 3)
            out.write(np.ascontiguousarray(pixels[::step, ::step]).tobytes())


if __name__ == "__main__":
    write_images()
    write_truncation()
    write_resize_crop()

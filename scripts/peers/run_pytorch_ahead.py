"""Contestant (b-ahead): PyTorch with the backbone compiled ahead by AOTInductor.

The package was compiled beforehand (convert.py), on this machine and for this number of images per call.
Pillow decodes in threads of this process, for loading torchvision takes longer than it would save.
"""

from pathlib import Path

import outcome


def main():
    parser = outcome.parser(__doc__)
    parser.add_argument("--package", type=Path, required=True, help="compiled for [batch, 224, 224, 3] u8")
    parser.add_argument("--batch", type=int, default=8, help="images per call, as the package was compiled for")
    arguments = parser.parse_args()
    stages = outcome.Stages()

    import numpy
    import torch
    import torch._inductor

    from chunks import decode_ahead
    from dataset import NUM_FEATURES, Dataset, find_weights, resize_of
    from pillow_pixels import load_batch

    torch.set_num_threads(arguments.threads)
    dataset, weights = Dataset(), find_weights()
    stages.end("import torch")
    resize = resize_of(weights)
    load = lambda paths: load_batch(paths, arguments.batch, resize)
    features = numpy.empty((len(dataset), NUM_FEATURES), numpy.float32)
    with torch.inference_mode():
        model = torch._inductor.aoti_load_package(str(arguments.package))
        stages.end("prepare")
        for start, count, pixels in decode_ahead(dataset.paths, arguments.batch, arguments.threads, 2, load):
            features[start : start + count] = model(torch.from_numpy(pixels))[:count].float().numpy()
    stages.end("features")
    outcome.finish_cached(
        arguments,
        stages,
        dataset,
        weights,
        features,
        f"AOTInductor, {'bf16' if 'bf16' in arguments.package.name else 'fp32'}, batch {arguments.batch}, "
        f"{arguments.threads} threads",
    )


if __name__ == "__main__":
    main()

"""Contestant (b): the best practice in PyTorch.

DataLoader workers that decode with torchvision.io, channels-last, batch norm folded or torch.compile
with freezing, features computed once, a head on them.
"""

import outcome


def main():
    parser = outcome.parser(__doc__)
    parser.add_argument("--engine", choices=("compile", "folded", "eager"), default="compile")
    parser.add_argument("--batch", type=int, default=8, help="images per forward pass")
    parser.add_argument("--workers", type=int, default=1, help="DataLoader processes; 0 decodes in the main one")
    parser.add_argument("--bf16", action="store_true", help="for CPUs that multiply bf16")
    arguments = parser.parse_args()
    stages = outcome.Stages()

    import torch

    from dataset import Dataset, find_weights

    torch.set_num_threads(arguments.threads)
    dataset, weights = Dataset(), find_weights()
    stages.end("import torch and torchvision")
    with torch.inference_mode():
        # The workers start first, so they decode while the model is prepared.
        batches = iter(loader(dataset, weights, arguments))
        model = build(weights, arguments.engine, torch.bfloat16 if arguments.bf16 else torch.float32)
        stages.end("prepare")
        features = extract(model, batches, len(dataset), arguments.batch, stages)
    configuration = f"{arguments.engine}, {'bf16' if arguments.bf16 else 'fp32'}, batch {arguments.batch}, " + (
        f"{arguments.workers} DataLoader worker{'s' * (arguments.workers != 1)}, {arguments.threads} threads"
    )
    outcome.finish_cached(arguments, stages, dataset, weights, features.numpy(), configuration)


def loader(dataset, weights, arguments):
    """Batches of `[N, 3, 224, 224] u8` in the order of the data set."""
    import torch
    from torch.utils.data import DataLoader

    from torchvision_pixels import EvalImages

    return DataLoader(
        EvalImages(dataset.paths, weights),
        batch_size=arguments.batch,
        num_workers=arguments.workers,
        worker_init_fn=lambda _: torch.set_num_threads(1),
    )


def build(weights, engine, dtype):
    """The backbone on raw pixels, as the engine wants it."""
    import torch

    from backbone import PixelsToFeatures, fold_batch_norm, load_backbone

    backbone = load_backbone(weights)
    if engine == "folded":
        backbone = fold_batch_norm(backbone)
    model = PixelsToFeatures(backbone, dtype).eval().to(memory_format=torch.channels_last)
    if engine == "compile":
        import torch._inductor.config

        torch._inductor.config.freezing = True
        model = torch.compile(model)
    return model


def extract(model, batches, num_images, batch_size, stages):
    """Features `[N, 2048] f32` of all batches. The first call, which compiles, is a stage of its own."""
    import torch

    from dataset import NUM_FEATURES

    features = torch.empty(num_images, NUM_FEATURES)
    done = 0
    for pixels in batches:
        count = len(pixels)
        if count < batch_size:
            # A compiled model would be compiled again for another shape.
            pixels = torch.cat([pixels, pixels[:1].expand(batch_size - count, -1, -1, -1)])
        rows = model(pixels.contiguous(memory_format=torch.channels_last))
        features[done : done + count] = rows[:count].float()
        if done == 0:
            stages.end("first batch, compiling included")
        done += count
    stages.end("features")
    return features


if __name__ == "__main__":
    main()

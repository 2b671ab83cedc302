"""Contestant (d): the same pipeline with ONNX Runtime as the backbone.

`--sessions` sessions share the threads. With one, Pillow decodes ahead in threads; with several, each
session's thread takes its own chunks from file to feature.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import outcome


def main():
    parser = outcome.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="ONNX file on [N, 224, 224, 3] u8")
    parser.add_argument("--batch", type=int, default=8, help="images per call")
    parser.add_argument("--sessions", type=int, default=1)
    arguments = parser.parse_args()
    stages = outcome.Stages()

    import numpy
    import onnxruntime

    from chunks import decode_ahead
    from dataset import NUM_FEATURES, Dataset, find_weights, resize_of
    from pillow_pixels import load_batch

    dataset, weights = Dataset(), find_weights()
    stages.end("import onnxruntime")
    threads_each = max(1, arguments.threads // arguments.sessions)

    def session():
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads_each
        return onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])

    sessions = [session() for _ in range(arguments.sessions)]
    name = sessions[0].get_inputs()[0].name
    stages.end("prepare")
    outcome.import_torch_meanwhile()

    features = numpy.empty((len(dataset), NUM_FEATURES), numpy.float32)
    resize = resize_of(weights)
    load = lambda paths: load_batch(paths, arguments.batch, resize)

    def run(session, start, count, pixels):
        (rows,) = session.run(None, {name: pixels})
        features[start : start + count] = rows[:count]

    def work(first):
        for start in range(first * arguments.batch, len(dataset), arguments.sessions * arguments.batch):
            paths = dataset.paths[start : start + arguments.batch]
            run(sessions[first], start, len(paths), load(paths))

    if arguments.sessions == 1:
        for start, count, pixels in decode_ahead(dataset.paths, arguments.batch, arguments.threads, 2, load):
            run(sessions[0], start, count, pixels)
    else:
        with ThreadPoolExecutor(arguments.sessions) as pool:
            list(pool.map(work, range(arguments.sessions)))
    stages.end("features")
    outcome.finish_cached(
        arguments,
        stages,
        dataset,
        weights,
        features,
        f"fp32, all graph optimizations, batch {arguments.batch}, {arguments.sessions} "
        f"session{'s' * (arguments.sessions != 1)} x {threads_each} threads",
    )


if __name__ == "__main__":
    main()

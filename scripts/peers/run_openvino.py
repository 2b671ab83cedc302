"""Contestant (c): the same pipeline with OpenVINO as the backbone.

The model was converted beforehand (convert.py). Throughput mode: one stream of requests per `--streams`,
each with its share of the threads; Pillow decodes in threads of this process.
"""

from pathlib import Path

import outcome


def main():
    parser = outcome.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="IR or ONNX file on [N, 224, 224, 3] u8")
    parser.add_argument("--cache", type=Path, help="folder of compiled models")
    parser.add_argument("--batch", type=int, default=8, help="images per request")
    parser.add_argument("--streams", type=int, help="requests that run at once (default: one per thread)")
    parser.add_argument("--bf16", action="store_true", help="for CPUs that multiply bf16")
    arguments = parser.parse_args()
    streams = arguments.streams or arguments.threads
    stages = outcome.Stages()

    import numpy
    import openvino
    from openvino import properties

    from chunks import decode_ahead
    from dataset import CROP, NUM_FEATURES, Dataset, find_weights, resize_of
    from pillow_pixels import load_batch

    dataset, weights = Dataset(), find_weights()
    stages.end("import openvino")
    core = openvino.Core()
    if arguments.cache:
        core.set_property({properties.cache_dir: str(arguments.cache)})
    model = core.read_model(arguments.model)
    model.reshape([arguments.batch, CROP, CROP, 3])
    hints = properties.hint
    compiled = core.compile_model(
        model,
        "CPU",
        {
            hints.performance_mode: hints.PerformanceMode.THROUGHPUT,
            hints.inference_precision: openvino.Type.bf16 if arguments.bf16 else openvino.Type.f32,
            properties.num_streams: streams,
            properties.inference_num_threads: arguments.threads,
        },
    )
    stages.end("prepare")
    outcome.import_torch_meanwhile()

    features = numpy.empty((len(dataset), NUM_FEATURES), numpy.float32)

    def store(request, place):
        start, count = place
        features[start : start + count] = request.get_output_tensor().data[:count]

    # One request waits while one runs, in each stream.
    queue = openvino.AsyncInferQueue(compiled, 2 * streams)
    queue.set_callback(store)
    resize = resize_of(weights)
    load = lambda paths: load_batch(paths, arguments.batch, resize)
    for start, count, pixels in decode_ahead(dataset.paths, arguments.batch, arguments.threads, 2 * streams, load):
        queue.start_async([pixels], (start, count))
    queue.wait_all()
    stages.end("features")
    outcome.finish_cached(
        arguments,
        stages,
        dataset,
        weights,
        features,
        f"{'bf16' if arguments.bf16 else 'fp32'}, throughput hint, batch {arguments.batch}, "
        f"{streams} streams on {arguments.threads} threads",
    )


if __name__ == "__main__":
    main()

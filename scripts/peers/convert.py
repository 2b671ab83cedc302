"""Writes the backbone as the engines load it, before anything is timed: no contestant is charged for it."""

import argparse
import sys
from pathlib import Path

import torch

from backbone import NhwcPixelsToFeatures, load_backbone
from dataset import CROP


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("output", type=Path, help=".onnx (OpenVINO's IR is written beside it), or AOTInductor's .pt2")
    parser.add_argument("--batch", type=int, default=8, help="images per call of a .pt2; the others take any number")
    parser.add_argument("--bf16", action="store_true", help="for .pt2; OpenVINO chooses when it loads the IR")
    arguments = parser.parse_args()
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when complete, so an interrupted conversion is not taken for one.
    unfinished = arguments.output.with_name("unfinished-" + arguments.output.name)
    with torch.no_grad():
        model = NhwcPixelsToFeatures(load_backbone(arguments.weights), dtype).eval()
        if arguments.output.suffix == ".onnx":
            write_onnx_and_ir(model, unfinished, arguments.output.with_suffix(".xml"))
        else:
            write_package(model.to(memory_format=torch.channels_last), unfinished, arguments.batch)
    unfinished.rename(arguments.output)
    print(f"wrote {arguments.output}", file=sys.stderr)


def write_onnx_and_ir(model, onnx, ir):
    import openvino

    torch.onnx.export(
        model,
        (torch.zeros(2, CROP, CROP, 3, dtype=torch.uint8),),
        onnx,
        input_names=["pixels"],
        output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("images")},),
        external_data=False,
        dynamo=True,
        verbose=False,
    )
    openvino.save_model(openvino.convert_model(onnx), ir, compress_to_fp16=False)


def write_package(model, package, batch):
    """Compiled for this CPU, under the same cap as the timed runs: the caller sets its environment."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    exported = torch.export.export(model, (torch.zeros(batch, CROP, CROP, 3, dtype=torch.uint8),))
    torch._inductor.aoti_compile_and_package(exported, package_path=str(package))


if __name__ == "__main__":
    main()

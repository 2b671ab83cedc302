"""Writes the backbone as ONNX and as OpenVINO's IR, once per weights file; no contestant is charged for it."""

import argparse
import sys
from pathlib import Path

import openvino
import torch

from backbone import NhwcPixelsToFeatures, load_backbone
from dataset import CROP


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("onnx", type=Path, help="the IR is written beside it, as .xml and .bin")
    arguments = parser.parse_args()
    model = NhwcPixelsToFeatures(load_backbone(arguments.weights), torch.float32).eval()
    pixels = torch.zeros(2, CROP, CROP, 3, dtype=torch.uint8)
    arguments.onnx.parent.mkdir(parents=True, exist_ok=True)
    unfinished = arguments.onnx.with_suffix(".unfinished")
    torch.onnx.export(
        model,
        (pixels,),
        unfinished,
        input_names=["pixels"],
        output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("images")},),
        external_data=False,
        dynamo=True,
        verbose=False,
    )
    openvino.save_model(openvino.convert_model(unfinished), arguments.onnx.with_suffix(".xml"), compress_to_fp16=False)
    # Last, for its name says that both are there.
    unfinished.rename(arguments.onnx)
    print(f"wrote {arguments.onnx} and {arguments.onnx.with_suffix('.xml')}", file=sys.stderr)


if __name__ == "__main__":
    main()

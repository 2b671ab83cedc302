"""Writes the files that tests/state_dict.rs reads, with what PyTorch reads from them.

    python tests/golden/state_dict/generate.py

Needs torch (2.13 wrote the committed files) and writes beside itself. expected.json maps each file
to its tensors in order: name, dtype, shape and the contiguous little-endian bytes in hexadecimal.
"""

import collections
import io
import json
import pathlib
import pickle
import struct

import torch

HERE = pathlib.Path(__file__).parent
EXPECTED = {}


def contents(tensor):
    tensor = tensor.detach().contiguous()
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "hex": bytes(tensor.reshape(-1).view(torch.uint8).tolist()).hex(),
    }


def expect(file, tensors):
    EXPECTED[file] = [{"name": name, **contents(tensor)} for name, tensor in tensors.items()]


def save(file, obj, tensors=None, **kwargs):
    """Saves `obj`, from which the reader must get `tensors` (by default what torch.load returns)."""
    torch.save(obj, HERE / file, **kwargs)
    expect(file, torch.load(HERE / file, weights_only=True) if tensors is None else tensors)


def tiny_state_dict():
    model = torch.nn.Sequential(
        collections.OrderedDict(
            conv1=torch.nn.Conv2d(2, 3, 2, bias=False),
            bn1=torch.nn.BatchNorm2d(3),
            fc=torch.nn.Linear(3, 2),
        )
    )
    model.bn1.num_batches_tracked.fill_(7)
    return model.state_dict()


def every_dtype():
    dtypes = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
    values = torch.tensor([[0, 1, -2.5], [100, -0.25, 3]], dtype=torch.float64)
    tensors = {name: values.to(getattr(torch, name)) for name in dtypes if name != "uint8"}
    tensors["uint8"] = values.abs().to(torch.uint8)
    return tensors


def views():
    """Tensors that share one block, in every layout a block can be looked at."""
    block = torch.arange(24, dtype=torch.float32)
    return {
        "whole": block,
        "middle": block[5:11],
        "transposed": block.view(4, 6).t(),
        "permuted": block.view(2, 3, 4).permute(2, 0, 1),
        "stepped": block.view(4, 6)[1::2, ::3],
        "expanded": block[3].expand(2, 3),
        "scalar": block[23],
        "empty": block[4:4],
        "empty_rows": torch.empty(0, 3),
        "channels_last": torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last),
    }


def checkpoint(state_dict):
    """What a training script saves: the state dict among other things."""
    parameter = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = torch.optim.Adam([parameter], lr=1e-3)
    parameter.sum().backward()
    optimizer.step()
    return {
        "epoch": 90,
        "arch": "resnet50",
        "state_dict": state_dict,
        "best_acc1": torch.tensor(76.13),
        "loss": 0.125,
        "big": 2**70,
        "negative": -(2**40),
        "history": [(1, 0.5), (2, 0.25)],
        "optimizer": optimizer.state_dict(),
        "shape": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "nothing": None,
        "flag": True,
    }


def save_safetensors(file, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL"}
    names |= {"int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8"}
    for name, tensor in tensors.items():
        content = contents(tensor)
        start, data = len(data), data + bytes.fromhex(content["hex"])
        header[name] = {
            "dtype": names[content["dtype"]],
            "shape": content["shape"],
            "data_offsets": [start, len(data)],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (HERE / file).write_bytes(struct.pack("<Q", len(text)) + text + data)
    expect(file, tensors)


def save_python2(file):
    """The form of the first torchvision weights, by hand, since today's torch cannot write it:
    Python 2 strings, OrderedDict(pairs), Parameter with a state, _rebuild_tensor, a storage view."""

    def text(value):
        return b"U" + bytes([len(value)]) + value.encode()

    def block(key, count, view):
        return (
            b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cuda:0")
            + b"K" + bytes([count]) + view + b"tQ"
        )

    def rebuild(storage, offset):
        return b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K" + bytes([offset]) + b"K\x02\x85K\x01\x85tR"

    plain = rebuild(block("11", 4, b"N"), 1)
    viewed = rebuild(block("22", 5, b"(" + text("33") + b"K\x02K\x03t"), 1)
    parameter = (
        b"ctorch.nn.parameter\nParameter\n)\x81(" + plain
        + b"Nccollections\nOrderedDict\n]\x85R\x88\x89tb"
    )
    pairs = b"](](" + text("weight") + parameter + b"e](" + text("running_mean") + viewed + b"ee"
    root = b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R."
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    out = b"".join(
        [
            pickle.dumps(0x1950A86A20F9469CFC6C, 2),
            pickle.dumps(1001, 2),
            pickle.dumps(system, 2),
            root,
            pickle.dumps(["11", "22"], 2),
            struct.pack("<q4f", 4, 0, 1, 2, 3),
            struct.pack("<q5f", 5, 10, 11, 12, 13, 14),
        ]
    )
    (HERE / file).write_bytes(out)
    read = torch.load(io.BytesIO(out), map_location="cpu", weights_only=True)
    assert read["weight"].tolist() == [1, 2] and read["running_mean"].tolist() == [13, 14], read
    expect(file, read)


def main():
    torch.manual_seed(0)
    legacy = {"_use_new_zipfile_serialization": False}
    tiny = tiny_state_dict()
    assert hasattr(tiny, "_metadata")
    parameters = {name: torch.nn.Parameter(t, t.is_floating_point()) for name, t in tiny.items()}
    for form, kwargs in [("zip", {}), ("legacy", legacy)]:
        save(f"{form}_ordered_dict.pth", tiny, **kwargs)
        save(f"{form}_plain_dict.pth", dict(tiny), **kwargs)
        save(f"{form}_parameters.pth", parameters, **kwargs)
        save(f"{form}_every_dtype.pth", every_dtype(), **kwargs)
        save(f"{form}_views.pth", views(), **kwargs)
        save(f"{form}_checkpoint.pth", checkpoint(tiny), tensors=tiny, **kwargs)
    save("zip_protocol3.pth", checkpoint(tiny), tensors=tiny, pickle_protocol=3)
    # Earlier protocols write a set as a call of the class, which no state dict needs.
    tagged = checkpoint(tiny) | {"tags": {"a", "b"}, "frozen": frozenset({1}), "raw": b"\xff"}
    save("zip_protocol4.pth", tagged, tensors=tiny, pickle_protocol=4)
    tagged["buffer"] = bytearray(b"\xfe")
    save("zip_protocol5.pth", tagged, tensors=tiny, pickle_protocol=5)
    save("legacy_protocol4.pth", checkpoint(tiny), tensors=tiny, pickle_protocol=4, **legacy)
    prefixed = {f"module.{name}": tensor for name, tensor in tiny.items()}
    save("zip_module_prefix.pth", {"model": prefixed}, tensors=tiny)
    save_python2("legacy_python2.pth")
    save_safetensors("every_dtype.safetensors", every_dtype())
    lines = [
        f" {json.dumps(file)}: [\n" + ",\n".join("  " + json.dumps(t) for t in tensors) + "\n ]"
        for file, tensors in EXPECTED.items()
    ]
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()

"""What a comparison ran on: CPU, instruction sets, memory, kernel."""

import os
import platform
import re
from pathlib import Path

# oneDNN's names of the levels, from the lowest, with the flag of /proc/cpuinfo that tells each.
LEVELS = (
    ("SSE41", "sse4_1"),
    ("AVX", "avx"),
    ("AVX2", "avx2"),
    ("AVX512_CORE", "avx512bw"),
    ("AVX512_CORE_VNNI", "avx512_vnni"),
    ("AVX512_CORE_BF16", "avx512_bf16"),
    ("AVX512_CORE_FP16", "avx512_fp16"),
    ("AVX512_CORE_AMX", "amx_bf16"),
)
# oneDNN knows more names, of CPUs without AVX-512; capping to those is not offered.
CAPS = tuple(name for name, _ in LEVELS[2:])


def level_of_cpu():
    """The highest of LEVELS that the CPU has."""
    flags = set(field("flags").split())
    return [name for name, flag in LEVELS if flag in flags][-1]


def level(cap=None):
    """The highest level that contestants may use."""
    names = [name for name, _ in LEVELS]
    own = level_of_cpu()
    return own if cap is None else min(own, cap, key=names.index)


def has_bf16(cap=None):
    """Whether the CPU multiplies bf16 by itself: with AMX, or with AVX512_BF16."""
    names = [name for name, _ in LEVELS]
    return names.index(level(cap)) >= names.index("AVX512_CORE_BF16")


def caps_environment(cap):
    """Variables that hold oneDNN (in ec2train, PyTorch and OpenVINO), ATen and MKL to a level.

    ONNX Runtime has no such variable; its fp32 kernels do not use AMX, so a cap at AVX-512 changes nothing
    for it.
    """
    if cap is None:
        return {}
    aten = "avx512" if level(cap).startswith("AVX512") else "avx2"
    mkl = "AVX512" if aten == "avx512" else "AVX2"
    return {"ONEDNN_MAX_CPU_ISA": cap, "ATEN_CPU_CAPABILITY": aten, "MKL_ENABLE_INSTRUCTIONS": mkl}


def describe(cap, threads):
    return {
        "cpu": field("model name"),
        "cpu_family_model_stepping": "/".join(field(name) for name in ("cpu family", "model", "stepping")),
        "cpu_level": level_of_cpu(),
        "level_used": level(cap),
        "cap": cap,
        "cpus": os.cpu_count(),
        "threads": threads,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
    }


def field(name):
    """A field of the first CPU in /proc/cpuinfo."""
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else "unknown"

"""What decides how fast this machine computes, and in which number format: processor, threads, GPUs, versions.

Read without TensorFlow, so that pages can ask.
"""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.engines import describe_engine
from core.settings import read_settings

# Instructions for short number formats; processors of one name may have them or not.
_SHORT_FORMATS = ("amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2", "bf16")


def describe_machine() -> dict[str, Any]:
    """Facts by which measurements are kept apart."""
    return {"threads": read_settings().n_threads, "engine": describe_engine()} | _fixed_facts()


def explain_machine() -> str:
    """The same in a few words, for people."""
    facts = describe_machine()
    gpus = f", {len(facts['gpus'])} × {facts['gpus'][0]}" if facts["gpus"] else ""
    return f"{facts['processor']}, {facts['threads']} threads{gpus}"


@lru_cache(maxsize=1)
def _fixed_facts() -> dict[str, Any]:
    name, flags = _read_processor()
    return {
        "processor": name,
        "instructions": [flag for flag in _SHORT_FORMATS if flag in flags],
        "gpus": _read_gpus(),
        "system": platform.system(),
        "tensorflow": version("tensorflow"),
        "onnxruntime": version("onnxruntime"),
    }


def _read_processor() -> tuple[str, set[str]]:
    name, flags = platform.processor() or platform.machine(), set()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
                break
    except OSError:  # not Linux
        pass
    return name, flags


def _read_gpus() -> list[str]:
    found = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    return found

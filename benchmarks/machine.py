"""What a measurement was made on: processor, cores, vector instructions, memory, and the versions of both sides."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = [
    "katamuki",
    "numpy",
    "llvmlite",
    "scipy",
    "lmfit",
    "scikit-learn",
    "statsmodels",
    "iminuit",
    "polars",
    "duckdb",
    "pandas",
    "pyarrow",
    "jax",
    "jaxlib",
    "optimistix",
    "nlsq",
    "torch",
    "dask",
    "distributed",
]


@cache
def facts() -> dict[str, Any]:
    """Plain numbers and text; a version is None where the package is not installed."""
    flags = _line("/proc/cpuinfo", "flags").split()
    memory = _line("/proc/meminfo", "MemTotal").split()
    return {
        "cpu": _line("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),  # of the machine: a script may have bound itself to one
        "avx2": "avx2" in flags,
        "avx512": "avx512f" in flags,
        "memory_gib": round(int(memory[0]) / 2**20, 1) if memory else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _line(file: str, key: str) -> str:
    """What stands behind the first such key of a file of the system; empty where there is none."""
    try:
        with Path(file).open(encoding="utf-8") as lines:
            return next(text.split(":", 1)[1].strip() for text in lines if text.split(":")[0].strip() == key)
    except (OSError, StopIteration):
        return ""

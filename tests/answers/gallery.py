"""The gallery of hard problems: reads ``gallery/*.json``, which ``tools/gallery.py`` made. It fits nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).with_name("gallery")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem and the best that is known of it.

    ``columns`` (n,) float64 each, the response's first. ``params`` and ``rss`` (unit of the left side squared) are the
    best known minimum, ``stderr`` its standard errors to three digits. ``reached`` counts by kind of start how many
    found it, of how many; ``how`` says the same in words. ``published_rss`` is what the source of a table prints.
    """

    name: str
    group: str
    formula: str
    columns: Mapping[str, NDArray[np.float64]]
    params: Mapping[str, float]
    stderr: Mapping[str, float]
    rss: float
    source: str
    how: str
    reached: Mapping[str, tuple[int, int]]
    published: bool
    published_params: Mapping[str, float] | None
    published_rss: float | None
    seed: int | None  # of the drawn ones


def names() -> tuple[str, ...]:
    """The names of the problems, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def problem(name: str) -> Problem:
    """One problem by its name, read anew by every call."""
    said = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Problem(
        columns={
            column: np.array([float(cell) for cell in cells.split()]) for column, cells in said["columns"].items()
        },
        params={b: float(text) for b, text in said["params"].items()},
        rss=float(said["rss"]),
        reached={kind: (found, count) for kind, (found, count) in said["reached"].items()},
        published="published" in said,
        published_params=said.get("published"),
        published_rss=said.get("published_rss"),
        seed=said.get("seed"),
        **{key: said[key] for key in ("name", "group", "formula", "stderr", "source", "how")},
    )

"""The options of ``katamuki.fit`` that are not about parameters or weights: their types, and what is not there yet.

Every mistake is a sentence of the catalogue; nothing is converted or guessed.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from katamuki.errors import BoundsError


class Asked(NamedTuple):
    """What was asked for about the search for starting values: how many starts, and the seed."""

    starts: int | str = 1
    seed: int = 0


def shown(given: object) -> str:
    """What was given, short enough for a sentence."""
    return " ".join(reprlib.repr(given).split())


def check_options(
    starts: object,
    seed: object,
    max_memory: object,
    threads: object,
    max_seconds: object,
    progress: object,
) -> None:
    """Refuse by name what this version does not do, and values that mean nothing."""
    if not (isinstance(starts, str) and starts == "auto") and not _whole(starts, 1):
        raise BoundsError("E-USAGE", "api.starts", given=shown(starts))
    if not _whole(seed, -math.inf):
        raise BoundsError("E-USAGE", "api.seed", given=shown(seed))
    if max_memory is not None and not _whole(max_memory, 1):
        raise BoundsError("E-USAGE", "api.max_memory", given=shown(max_memory))
    if threads is not None and not _whole(threads, 1):
        raise BoundsError("E-USAGE", "api.threads", given=shown(threads))
    if max_seconds is not None and not _positive(max_seconds):
        raise BoundsError("E-USAGE", "api.max_seconds", given=shown(max_seconds))
    if progress is not None and not callable(progress):
        raise BoundsError("E-USAGE", "api.progress", given=shown(progress))


def check_names(start: object, bounds: object, fixed: object, params: object) -> None:
    """Refuse what is no mapping of names to values, or for ``params`` no list of names."""
    for what, given in (("start", start), ("bounds", bounds), ("fixed", fixed)):
        if given is not None and not (isinstance(given, Mapping) and all(isinstance(name, str) for name in given)):
            raise BoundsError("E-USAGE", f"api.no_mapping_{what}", given=shown(given))
    if params is not None and not (
        isinstance(params, Sequence) and not isinstance(params, str) and all(isinstance(name, str) for name in params)
    ):
        raise BoundsError("E-USAGE", "api.no_names", given=shown(params))


def _whole(given: object, least: float) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool) and bool(given >= least)


def _positive(given: object) -> bool:
    return isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool) and bool(given > 0)

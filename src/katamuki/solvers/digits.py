"""How near a value is to an answer: relative to it, or near 0 to a thousandth of its standard error.

The answer check counts digits in the same way, with code of its own.
"""

from __future__ import annotations

import math


def unit(answer: float, stderr: float | None) -> float:
    """What distances to an answer are divided by: max(|answer|, stderr/1000), in its unit.

    Example
    -------
    >>> unit(-2.0, 0.1), unit(0.0, 0.1), unit(0.0, None)
    (2.0, 0.0001, 0.0)
    """
    return max(abs(answer), (stderr or 0.0) / 1000.0)


def apart(value: float, answer: float, stderr: float | None) -> float:
    """|value − answer| in that unit; infinite beside an answer of 0 without an error.

    Example
    -------
    >>> apart(2.5, 2.0, None), apart(0.0, 0.0, None), apart(1e-9, 0.0, None)
    (0.25, 0.0, inf)
    """
    distance, size = abs(value - answer), unit(answer, stderr)
    return distance / size if size > 0.0 else math.inf if distance else 0.0

"""What a solver says that needs all rows in each step, and is asked for mini-batches: why it has none, and who has.

No other option gets a sentence of its own: a misspelt one is Python's own ``TypeError``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from katamuki.errors import BoundsError

Kind = TypeVar("Kind", bound=type[Any])


def needs_all_rows(key: str) -> Callable[[Kind], Kind]:
    """Let a solver's class refuse ``batch_size``; ``key`` is the sentence of the catalogue that says why.

    Example
    -------
    >>> import katamuki as km
    >>> km.Linear(batch_size=64)
    Traceback (most recent call last):
    katamuki.errors.BoundsError: Linear has no batch_size: ...
    """

    def refusing(kind: Kind) -> Kind:
        made: Callable[..., None] = kind.__init__

        @wraps(made)
        def begin(self: Any, *given: Any, **options: Any) -> None:
            if "batch_size" in options:
                raise BoundsError("E-USAGE", key, solver=kind.__name__)
            made(self, *given, **options)

        kind.__init__ = begin
        return kind

    return refusing

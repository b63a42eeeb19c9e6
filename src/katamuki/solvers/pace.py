"""What sets the length of a solver's steps: the one trait by which runs are told and judged in different ways.

Each solver's class says its own, ``pace``; what else matters (does it divide, what it remembers, its options) stands
on the class, too.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

Pace = Literal["slope", "lr", "own", "none"]
"""``slope``: the gradient times what stays nearly as it is, so that steps shrink as it does. ``lr``: the learning rate,
for the gradient is divided by its own recent size, which shrinks with it. ``own``: a rate that decays, a size of its
own or a search. ``none``: there is no walk with a learning rate."""


class Paced(Protocol):
    """A solver, whichever it is."""

    pace: ClassVar[Pace]

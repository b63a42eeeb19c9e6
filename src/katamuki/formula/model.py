"""What a formula or a function becomes: two graphs and their names."""

from __future__ import annotations

from dataclasses import dataclass

from katamuki.graph import Graph


@dataclass(frozen=True)
class Model:
    """A model: left side ~ right side.

    ``text`` is the whole formula, as typed, or printed from a function so that it can be read again; ``lhs`` has data
    only; ``response`` is the text of the left side; ``columns`` and ``parameters`` are those of both sides.
    ``rhs`` is None where the right side is a model of torch.
    """

    text: str
    lhs: Graph
    rhs: Graph | None
    response: str
    columns: tuple[str, ...]
    parameters: tuple[str, ...]

    @property
    def graph(self) -> Graph:
        """The right side of a formula; a model of torch has none, and nobody asks for it there."""
        assert self.rhs is not None
        return self.rhs

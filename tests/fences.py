"""Memory that knows where it ends: what a compiled function would read or write beside it is an error here."""

from __future__ import annotations

from collections.abc import Sequence


def wrapped(value: int) -> int:
    """A whole number as 64 bits hold it."""
    return (value + 2**63) % 2**64 - 2**63


class Word(int):
    """A whole number of 64 bits: what is shifted out of it is gone."""

    def __lshift__(self, other: int) -> Word:
        return Word(wrapped(int(self) << other))

    def __rshift__(self, other: int) -> Word:
        return Word(int(self) >> other)

    def __and__(self, other: int) -> Word:
        return Word(wrapped(int(self) & other))

    def __or__(self, other: int) -> Word:
        return Word(wrapped(int(self) | other))


class Fenced:
    """Numbers, of which the one at ``first`` has place 0."""

    def __init__(self, numbers: Sequence[int], first: int = 0) -> None:
        self.numbers, self.first = list(numbers) if isinstance(numbers, tuple) else numbers, first

    def _place(self, at: int) -> int:
        assert 0 <= self.first + at < len(self.numbers), at
        return self.first + at

    def __getitem__(self, at: int | slice) -> int | Fenced:
        if isinstance(at, slice):
            return Fenced(self.numbers, self.first + at.start)
        return Word(self.numbers[self._place(at)])

    def __setitem__(self, at: int, value: int) -> None:
        self.numbers[self._place(at)] = wrapped(value)

"""A fit as a program: the part of ``Fit`` that hands it to :mod:`katamuki.export`."""

from __future__ import annotations


class Exports:
    """The programs that a fit can be written as."""

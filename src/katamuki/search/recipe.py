"""What a formula and a choice of free parameters alone say to a search; made once for both, and kept."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from katamuki.graph import Graph
from katamuki.problem import Problem
from katamuki.search.places import Role, linear_parameters, roles
from katamuki.search.symmetries import Symmetries, symmetries


class Recipe:
    """Which free parameters are linear, and where the others stand.

    ``free`` (p,) are places among all parameters, the ``q`` linear ones first; ``linear_order`` (q + 1,) and ``order``
    (p + 1,) a block's columns in the order of [J, r], for the linear ones and for all. ``where`` tells the place of
    each nonlinear parameter by its name.
    """

    def __init__(self, graph: Graph, names: tuple[str, ...], free: tuple[str, ...]) -> None:
        self.graph = graph
        self.all_names = names
        self.linear = linear_parameters(graph, free)
        self.roles: tuple[Role, ...] = roles(graph, [one for one in free if one not in self.linear], self.linear)
        self.names = (*self.linear, *(one.name for one in self.roles))
        self.where = {one.name: names.index(one.name) for one in self.roles}
        self.q = len(self.linear)
        self.free = np.array([names.index(name) for name in self.names], dtype=np.int64)
        self.linear_order = np.array([*(1 + self.free[: self.q]), 0], dtype=np.int64)
        self.order = np.array([*(1 + self.free), 0], dtype=np.int64)
        self.endless = np.full(len(self.names), -np.inf), np.full(len(self.names), np.inf)
        self.neutral = dict.fromkeys(self.linear, 1.0) | dict.fromkeys(self.where, 0.0)
        self.turning = tuple(one for one in self.roles if one.turns)
        self.shifting = tuple(one for one in self.roles if one.shifts)

    @property
    def only_turns(self) -> bool:
        """Whether one frequency and its phases are all that is nonlinear: then a grid leaves nothing out."""
        return len(self.turning) == 1 and len(self.roles) == 1 + len(self.shifting)

    @cached_property
    def terms(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """Groups of equal terms: the nonlinear parameters of each, those of one kind at the same place."""
        groups: list[list[tuple[str, ...]]] = []
        for pairs in self.symmetries.swaps:
            one, other = (tuple(pair[k] for pair in pairs if pair[0] in self.where) for k in (0, 1))
            if not one:
                continue
            for group in groups:
                for new, known in ((one, other), (other, one)):
                    place = next((term for term in group if set(term) == set(known)), None)
                    if place is not None and not any(set(term) & set(new) for term in group):
                        group.append(tuple(new[known.index(name)] for name in place))
            if not any(set(term) & {*one, *other} for group in groups for term in group):
                groups.append([one, other])
        return tuple(tuple(group) for group in groups)

    @cached_property
    def symmetries(self) -> Symmetries:
        """What leaves the formula the same function of its free parameters."""
        return symmetries(self.graph, self.names)


def recipe_of(problem: Problem) -> Recipe:
    """The recipe of a problem's formula, kept with its layout."""
    found: Recipe | None = problem.layout.recipe
    if found is None:
        found = Recipe(problem.kernel.graph, problem.names, problem.free_names)
        problem.layout.recipe = found
    return found

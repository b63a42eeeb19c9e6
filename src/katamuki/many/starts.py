"""Starting values for many curves of one formula: one cloud for all, the best of it for each.

What a single search finds out from the graph (:mod:`katamuki.search.recipe`) holds for every curve. Where curves share
their columns, the cloud's points are the same for all, and what the linear parameters make of each point is a product
with an orthonormal basis that is computed once: a curve's levels cost a few multiplications a row. Elsewhere each curve
has a cloud of its own, from its own columns, and every point costs one evaluation. Source: Golub & Pereyra 1973, for
the projection; :mod:`katamuki.search.cloud`, for the points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.graph import depends
from katamuki.many import scores
from katamuki.many.curves import Curves, ManyTask
from katamuki.problem import layout_of
from katamuki.records import Array
from katamuki.search.cloud import Cloud
from katamuki.search.places import Role
from katamuki.search.recipe import Recipe

TRIES = 3  # starts of a curve that are descended from, at most
POINTS = 24  # of a cloud that curves share, for each nonlinear parameter
OWN = 12  # of a curve's own: fewer curves are trusted then, and those are right
MOST = 120  # of them
KINKS = frozenset({"abs", "sign", "min", "max", "heaviside", "where"})
SHOWN = 16  # rows that a curve's own cloud is made from
SINGULAR = 1e-10  # of the largest: columns of linear parameters that cannot be told apart at a point


@dataclass(frozen=True, slots=True)
class Starts:
    """``points`` (b, tries, all_p) and ``levels`` (b, tries), Σ w r² there, best first; infinite: there is none."""

    points: Array
    levels: Array


class Supply:
    """Starts for the curves of one task.

    Parameters
    ----------
    task : ManyTask
        The formula and what was given.
    """

    def __init__(self, task: ManyTask) -> None:
        self.task = task
        self.layout = layout_of(task.kernel, task.free)
        if self.layout.recipe is None:
            self.layout.recipe = Recipe(task.kernel.graph, task.kernel.parameters, task.free)
        self.recipe: Recipe = self.layout.recipe
        wanted = [role.name for role in self.recipe.roles]
        self.complete = task.given.issuperset(wanted) or not wanted
        moving = depends(task.kernel.graph, wanted)
        self.kinked = any(task.kernel.graph.nodes[k].op in KINKS for k in moving)
        self.leveled = any(place.op == "output" for role in self.recipe.roles for place in role.places)
        self.count, self.own = (
            1 if self.complete else min(MOST, each * len(wanted)) if task.starts == "auto" else int(task.starts)
            for each in (POINTS, OWN)
        )

    @property
    def able(self) -> bool:
        """Whether a cloud finds such formulas' minima, and a bend shows where there are others.

        Equal terms and frequencies need more than one cloud; beside a kink minima stand close, and nothing bends.
        """
        return self.complete or not (self.recipe.terms or self.recipe.turning or self.kinked)

    def starts(self, curves: Curves) -> Starts:
        """The best starts of each curve."""
        b, all_p = len(curves), len(self.task.values)
        if self.complete and self.task.given.issuperset(self.task.free):
            points = np.tile(self.task.values, (b, 1, 1))
            return Starts(points, np.zeros((b, 1)))
        tries = min(TRIES, self.own)
        points, levels = np.empty((b, tries, all_p)), np.empty((b, tries))
        with np.errstate(all="ignore"):
            if curves.shared and not (self.leveled and not self.complete):
                self._shared(curves, points, levels)
            else:
                self._each(curves, points, levels)
        for k, name in enumerate(self.task.kernel.parameters):
            if name in self.task.given and name in self.recipe.linear:
                points[:, :, k] = self.task.values[k]
            if name in self.task.bounds:
                points[:, :, k] = np.clip(points[:, :, k], *self.task.bounds[name])
        return Starts(points, levels)

    def _cloud(self, columns: Mapping[str, Array], level: float) -> Cloud:
        task, recipe = self.task, self.recipe
        base = dict(zip(task.kernel.parameters, task.values.tolist(), strict=True)) | recipe.neutral
        given = {name: base_of(task, name) for name in task.given if name in recipe.where}
        return Cloud(recipe.roles, columns, level, base, task.bounds, given, task.seed)

    def _points(self, values: Mapping[str, Array], count: int) -> Array:
        """Points (count, all_p), the linear parameters at 0."""
        points = np.empty((count, len(self.task.values)))
        points[:] = self.task.values
        for name, place in self.recipe.where.items():
            points[:, place] = values[name]
        points[:, self.recipe.free[: self.recipe.q]] = 0.0
        return points

    def _shared(self, curves: Curves, points: Array, levels: Array) -> None:
        """One cloud for all curves."""
        n = int(curves.offsets[1] - curves.offsets[0]) if len(curves) else 0
        bases = self._bases(curves, n)
        pool = bases.pool
        b, tries = levels.shape
        columns = bases.products.shape[1]
        room = np.empty(scores.shared_room(n, columns))
        scores.score_shared(
            address_of(curves.y), b, n, self.count, self.recipe.q, columns // self.count, pool.shape[1],
            address_of(self.recipe.free),
            address_of(bases.roots), address_of(bases.products), address_of(bases.offsets), address_of(bases.squares),
            address_of(bases.inverses), address_of(pool), tries, address_of(room), address_of(points),
            address_of(levels),
        )  # fmt: skip

    def _bases(self, curves: Curves, n: int) -> Bases:
        """Points and bases, kept for the next block of the same curves."""
        task = self.task
        known = (self.count, task.seed, task.values.tobytes(), task.given, tuple(task.bounds.items()))
        rows = [*curves.columns, *([] if curves.weights is None else [curves.weights])]
        key = (known, curves.weights is None, tuple(one.tobytes() for one in rows))
        kept: tuple[object, Bases] | None = self.layout.bases
        if kept is None or kept[0] != key:
            cloud = self._cloud(dict(zip(task.kernel.columns, curves.columns, strict=True)), 1.0)
            pool = self._points(cloud.points(0, self.count), self.count)
            self.layout.bases = kept = key, Bases(self, curves, pool, n)
        return kept[1]

    def _each(self, curves: Curves, points: Array, levels: Array) -> None:
        """A cloud for each curve, from a few of its rows."""
        kernel, recipe = self.task.kernel, self.recipe
        b, tries = levels.shape
        pool = self._pool(curves)
        root = None if curves.weights is None else np.sqrt(curves.weights)
        pointers = np.array([address_of(one) for one in curves.columns] or [0], dtype=np.int64)
        size = scores.room(recipe.q, pool.shape[2])
        block, work = np.empty(256 * (1 + pool.shape[2])), np.empty(size)
        scores.score_each(
            kernel.address, address_of(pointers), address_of(curves.y), 0 if root is None else address_of(root),
            int(root is not None), address_of(curves.offsets), int(curves.shared), b, self.own, recipe.q,
            pool.shape[2], address_of(recipe.free), address_of(pool), tries, address_of(block), address_of(work),
            address_of(points), address_of(levels),
        )  # fmt: skip

    def _pool(self, curves: Curves) -> Array:
        """Points (b, count, all_p) of the curves' own clouds."""
        b, names = len(curves), self.task.kernel.columns
        if self.complete:
            return np.tile(self._points(self._cloud({}, 1.0).points(0, 1), 1), (b, 1, 1))
        rows = shown_rows(curves, SHOWN)
        columns = {
            name: one[rows[0] - curves.offsets[0] if curves.shared else rows].reshape(-1, 1, SHOWN)
            for name, one in zip(names, curves.columns, strict=True)
        }
        squares = np.add.reduceat(curves.y * curves.y, curves.offsets[:-1]) if len(curves.y) else np.empty(0)
        level = np.sqrt(squares / np.maximum(np.diff(curves.offsets), 1))
        cloud = Clouds(self._cloud({}, 1.0), columns, np.where(level > 0.0, level, 1.0)[:, None])
        found = {name: np.broadcast_to(one, (b, self.own)).ravel() for name, one in cloud.points(0, self.own).items()}
        return self._points(found, b * self.own).reshape(b, self.own, -1)


def base_of(task: ManyTask, name: str) -> float:
    """The value that was given for a parameter."""
    return float(task.values[task.kernel.parameters.index(name)])


def shown_rows(curves: Curves, most: int) -> NDArray[np.int64]:
    """Rows (b, most) that clouds are made from: as many of every curve, evenly among its own, some of them twice."""
    n = np.diff(curves.offsets)
    share = np.linspace(0.0, 1.0, most)
    within = np.rint(share * (np.maximum(n, 1) - 1)[:, None]).astype(np.int64)
    rows: NDArray[np.int64] = np.minimum(curves.offsets[:-1, None] + within, max(len(curves.y) - 1, 0))
    return rows


class Clouds(Cloud):
    """Clouds of many curves, the same points beside the few rows of each: ``columns`` (b, 1, rows), ``level`` (b, 1).

    Values are (b, points), or (1, points) where they are the same for all; what depends on rows alone is found once a
    curve.
    """

    def __init__(self, like: Cloud, columns: Mapping[str, Array], level: Array) -> None:
        super().__init__(like.roles, {}, 1.0, like.base, like.limits, like.given, like.seed)
        self.columns = dict(columns)
        self.level = level  # type: ignore[assignment]  # one for every curve

    def draw(self, role: Role, size: Array, sign: Array, values: Mapping[str, Array]) -> Array:
        """Values (b or 1, points) of one parameter."""
        return super().draw(role, size.reshape(1, -1), sign.reshape(1, -1), values)


class Bases:
    """What the linear parameters make of each point of a cloud: orthonormal bases, and the way back to parameters.

    ``pool`` (count, all_p) are the points. ``products`` (n, count·(q + 1)): for each point √w·Q and √w·f₀, f₀ the
    formula with its linear parameters at 0, or (n, count·q) where that is 0; ``offsets`` (count, q) Qᵀf₀; ``squares``
    (count,) f₀ᵀf₀, infinite where the formula has no value; ``inverses`` (count, q, q) R⁻¹; ``roots`` (n,) √w.
    """

    def __init__(self, supply: Supply, curves: Curves, pool: Array, n: int) -> None:
        kernel, q = supply.task.kernel, supply.recipe.q
        places = supply.recipe.free[:q]
        self.pool = pool
        self.roots = np.ones(n) if curves.weights is None else np.sqrt(curves.weights)
        count = len(pool)
        products = np.zeros((n, count, q + 1))
        self.offsets, self.squares = np.zeros((count, max(q, 1))), np.full(count, math.inf)
        self.inverses = np.zeros((count, max(q, 1), max(q, 1)))
        for k, point in enumerate(pool):
            table = kernel.evaluate(curves.columns, point, n, want=True)
            base = table[0] * self.roots
            slopes = (table[1:][places] * self.roots).T
            if not (np.isfinite(base).all() and np.isfinite(slopes).all()):
                continue
            if q:
                basis, r = np.linalg.qr(slopes)
                diagonal = np.abs(np.diag(r))
                if not (diagonal > SINGULAR * np.linalg.norm(r, axis=0)).all():
                    continue
                products[:, k, :q] = basis * self.roots[:, None]
                self.offsets[k] = basis.T @ base
                self.inverses[k] = np.linalg.inv(r)
            products[:, k, q] = base * self.roots
            self.squares[k] = float(base @ base)
        if q and not products[:, :, q].any():
            products = products[:, :, :q]
        self.products: Array = np.ascontiguousarray(products.reshape(n, -1))

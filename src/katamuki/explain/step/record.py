"""One step of a run, as data: what went in, what came back, what the solver made of it, and whether it helped.

``Step`` holds facts and arrays; its texts are views of them, made in :mod:`katamuki.explain.story.text` and its
neighbours. Values are those before the step unless a name says otherwise; e = ŷ − y here, since that is what the loss
says, where a fit's residuals are y − ŷ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from katamuki.explain.graph.tape import Tape
from katamuki.records import Array

if TYPE_CHECKING:
    from katamuki.explain.graph.autograd import Autograd
    from katamuki.explain.graph.drawing import Svg
    from katamuki.explain.subject import Subject

Level = Literal["glance", "numbers", "rules"]


@dataclass(frozen=True, slots=True)
class Equation:
    """One line of the solver's arithmetic: ``symbol`` = ``rule``, with ``operands`` for the names in braces.

    ``Equation("v", "{alpha}·{v} + {1 − alpha}·{g}²", {"alpha": 0.99, "v": 0.0, "1 − alpha": 0.01, "g": −5.0}, 0.25)``.
    ``note`` is a key of the catalogue under ``step.note.``.
    """

    symbol: str
    rule: str
    operands: Mapping[str, float]
    value: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What the solver did with one parameter: its equations in order. The one called "step" is what is subtracted.

    It is subtracted from the parameter, or from what an equation called "kept" has left of it. In the rules the
    parameter is p and its gradient ∂L/∂p. A symbol that is also a name of the formula has underscores behind it.
    """

    parameter: str
    equations: tuple[Equation, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """The gradient by central differences of the loss, and how far it is from the derivative's.

    ``apart`` is the largest |difference − derivative| in units of the summands: (2/n) Σ w |e ∂f|; None where the loss
    has no finite value close by. ``kink``: within the differences an operation such as abs, max or a condition changes
    sides in some row, so that they need not agree. ``rounding`` bounds by how much two sums over the rows may differ
    in the run's precision.
    """

    values: Mapping[str, float]
    apart: float | None
    kink: bool
    rounding: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of Levenberg–Marquardt: (JᵀJ + damping·D²) δ = Jᵀr over the free parameters, √w in J and r.

    ``normal`` (p, p) is JᵀJ, ``moment`` (p,) Jᵀr, ``scale`` (p,) the diagonal of D (the largest column norms so far),
    ``solved`` (p,) the δ that these give and ``step`` (p,) the one tried: ``stretch`` times it, or cut by
    bounds, or combined with earlier moves. ``promised`` and ``came`` are reductions of Σ w r²; ``ratio`` is
    came/promised. ``growth`` multiplies the damping after a refusal. ``next_damping`` is None where no attempt follows.
    """

    damping: float
    normal: Array
    moment: Array
    scale: Array
    solved: Array
    step: Array
    stretch: float | None
    promised: float
    came: float
    ratio: float
    accepted: bool
    growth: float
    next_damping: float | None


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration of L-BFGS within a step: from a point along ``direction`` by ``length``.

    ``number`` counts the run's iterations; ``gradient`` and ``direction`` are over the free parameters, d = −H·g with H
    made of the last ``pairs`` pairs and, before them, ``diagonal`` times the identity. ``moved`` and ``turned`` are the
    newest of these pairs, Δp and Δg; None in the run's first iteration. ``slope`` is g·d. So many ``evaluations`` of
    loss and gradient were needed to settle ``length``.
    """

    number: int
    pairs: int
    diagonal: float
    gradient: dict[str, float]
    direction: dict[str, float]
    moved: dict[str, float] | None
    turned: dict[str, float] | None
    slope: float
    length: float
    evaluations: int


@dataclass(frozen=True, slots=True)
class Helped:
    """Whether the step helped: ``change`` of the loss = ``promise`` + ``bend`` + ``rest``.

    ``promise`` is g·Δ, ``bend`` ½ΔᵀHΔ with the loss's exact second derivatives H = ``curvature`` (p, p; None where
    there are too many parameters to hold it), ``rest`` what is of higher order: 0 to rounding where the formula is
    linear. ``distance`` holds |parameter − least squares| before and after.
    """

    change: float
    promise: float
    bend: float | None
    rest: float | None
    curvature: Array | None
    distance: Mapping[str, tuple[float, float]] | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows that a step took: batch ``number`` of ``per_epoch`` in an ``epoch``, both counted from 1.

    ``seed`` dealt them. ``rows`` are their numbers in the source, from 1, in the batch's order; ``all_rows`` were
    fitted, and ``loss`` and ``loss_after`` are Σ w e² / n over all of these, before and after the step.
    """

    epoch: int
    number: int
    per_epoch: int
    seed: int
    rows: tuple[int, ...]
    all_rows: int
    loss: float
    loss_after: float


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to see in this step: a key of the catalogue under ``step.remark.`` and what fills its sentence."""

    key: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """Step ``number`` of a run: what :meth:`katamuki.Fit.step` returns. Printing it prints the story.

    Parameters
    ----------
    number, steps : int
        Which step, counted from 1, of how many.
    solver : str
        The solver's name, lower case.
    options : mapping
        The solver's options.
    dtype : str
        "float64" or "float32": what the run computed in.
    formula, response : str
        As the fit was asked.
    n : int
        Rows that the step took.
    weighted : bool
        Whether rows have weights.
    before, after : dict
        All parameters before and after the step, the fixed ones included.
    free : tuple of str
        The fitted ones.
    loss, loss_after : float
        Σ w e² / n of the step's rows before and after; for an attempt that was refused, after is at the point tried.
    tape : Tape
        The nodes of formula and loss, forward and backward.
    gradient : dict
        ∂L/∂parameter, as the run computed it.
    left : dict or None
        What earlier steps left in the gradient, where it was not set to zero.
    differences : Differences or None
        The gradient by another road.
    memory, memory_after : dict
        The solver's memory by block and parameter: ``memory["v"]["a"]``.
    updates : tuple of Update
        The solver's arithmetic by parameter; empty for Levenberg–Marquardt.
    attempt : Attempt or None
        Levenberg–Marquardt's arithmetic.
    iterations : tuple of Iteration
        L-BFGS's arithmetic; empty for others, and where PyTorch ran it.
    helped : Helped
        Promise, bend, and what came.
    remarks : tuple of Remark
        What there is to see.
    batch : Batch or None
        Which rows the step took, where it took a mini-batch; everything else is of these rows alone.

    Example
    -------
    >>> import katamuki as km, warnings
    >>> warnings.simplefilter("ignore", km.FitWarning)
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"), start={"a": 0.5, "b": 0.5},
    ...              solver=km.RMSprop(lr=0.001, steps=6000))
    >>> step = fit.step(1)
    >>> round(step.loss, 12), round(step.gradient["a"], 12)
    (7.5057, -45.018181818182)
    """

    number: int
    steps: int
    solver: str
    options: Mapping[str, Any]
    dtype: str
    formula: str
    response: str
    n: int
    weighted: bool
    before: dict[str, float]
    after: dict[str, float]
    free: tuple[str, ...]
    loss: float
    loss_after: float
    tape: Tape
    gradient: dict[str, float]
    left: dict[str, float] | None
    differences: Differences | None
    memory: Mapping[str, Mapping[str, float]]
    memory_after: Mapping[str, Mapping[str, float]]
    updates: tuple[Update, ...]
    attempt: Attempt | None
    iterations: tuple[Iteration, ...]
    helped: Helped
    remarks: tuple[Remark, ...]
    batch: Batch | None
    subject: Subject = field(repr=False, compare=False)

    def explain(self, level: Level = "numbers", row: int = 1, lang: str = "en") -> str:
        """The story of this step.

        Parameters
        ----------
        level : "glance", "numbers" or "rules"
            Six lines; every number with its arithmetic; or the rules in letters.
        row : int
            The row (counted from 1; where a step took a mini-batch, within it) whose numbers go backward.
        lang : str
            "en" or "ja".

        Returns
        -------
        str
            Lines of at most 80 columns.

        Raises
        ------
        BoundsError
            If there is no such level or row.
        """
        from katamuki.explain.story import text as step_text

        return step_text.text(self, level, row, lang)

    def to_dict(self) -> dict[str, Any]:
        """The step as plain dictionaries, lists and exact numbers: schema ``katamuki.step/1``; NaN becomes None."""
        from katamuki.explain.step import dictionary as step_dict

        return step_dict.as_dict(self)

    def autograd(self) -> Autograd:
        """PyTorch's own graph of this step's loss beside this one, with the gradients that really passed through it.

        Raises
        ------
        BackendError
            If PyTorch is not installed, or the model is no formula.
        """
        from katamuki.explain.graph import autograd

        return autograd.beside(self)

    def draw(self, row: int | None = None, lang: str = "en") -> Svg:
        """The graph as a picture: values forward, gradients back; of one row, or summed over all.

        Parameters
        ----------
        row : int, optional
            The row, counted from 1; by default sums and means over all rows.
        lang : str
            "en" or "ja".

        Returns
        -------
        Svg
            Shown by notebooks; ``.save(path)`` writes it.

        Raises
        ------
        BoundsError
            If there is no such row.
        """
        from katamuki.explain.graph import drawing

        return drawing.draw(self, row, lang)

    def __str__(self) -> str:
        return self.explain()

    def _repr_html_(self) -> str:
        from katamuki.explain.story import html as step_html

        return step_html.html(self)

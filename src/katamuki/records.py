"""The records that the parts hand to each other: facts and arrays, no behaviour and no sentences.

A solution holds the formula's text, never a graph, so that whoever judges it must read the text again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from katamuki.messages import Phrase

Array = NDArray[np.float64]
State = Literal["exact", "converged", "cycle", "slow", "diverged", "not_identifiable", "interrupted"]
HAS_AN_ANSWER = ("exact", "converged", "not_identifiable")  # states that claim a minimum
Verdict = Literal["good", "look", "failed"]
Severity = Literal["note", "warning", "failure"]
SigmaIs = Literal["known", "relative"]
SearchEnding = Literal["sure", "unsure", "unbounded", "asked", "time", "interrupted"]
LaneEnding = Literal[
    "exact",
    "arrived",
    "cycle",
    "unsteady",
    "stalled",
    "elsewhere",
    "flat",
    "going",
    "diverged",
    "no_start",
    "cut",
    "waiting",
]


class Rows(Protocol):
    """Where rows are: what every source of data gives to a problem."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the order of the source."""

    @property
    def source(self) -> Source:
        """What was read, for reports."""

    def __len__(self) -> int:
        """How many rows there are."""

    def column(self, name: str) -> Array:
        """One column: (n,) float64, contiguous; raises ``DataError`` where it is no number."""


@dataclass(frozen=True, slots=True)
class Source:
    """What was read and how: the second line of every report."""

    name: str | Phrase  # "tutorial.csv"; a phrase for standard input and for objects in memory
    kind: str  # "csv" "tsv" "parquet" "jsonl" "arrow" "mapping" "pandas" "polars" "pyarrow" "duckdb" "dataset"
    rows: int  # rows handed to the fit
    separator: str | None = None
    decimal: str | None = None
    header: tuple[str, ...] | None = None  # names as read; None where the file has no header
    dropped: int = 0  # rows dropped by missing="drop"
    filtered: int = 0  # rows left out by where=
    where: str | None = None
    sha256: str | None = None  # of the file's bytes
    files: int = 1  # several files are one source
    sample: int | None = None  # rows in memory of a source that was not read whole
    passes: int = 0  # over all its rows
    queried: bool = False  # a database has the rows; those in memory are as many as it was allowed to give


@dataclass(frozen=True, slots=True)
class CellSums:
    """Residuals of rows that nobody saw one by one: over ``cells`` Σ (Σ w r)²/Σ w, and the largest w r² of all rows."""

    cells: int
    between: float
    largest: float


@dataclass(frozen=True, slots=True)
class Linearisation:
    """A problem near one point, small whatever the number of rows: r ≈ r₀ − J δ with J = QR, qtr = Qᵀr₀.

    ``r`` is upper triangular (p, p) over the free parameters; ``qtr`` (p,); ``rss`` is Σ w r²; ``n`` counts rows.
    """

    r: Array
    qtr: Array
    rss: float
    n: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What happened, step by step. Row k-1 is the state before step k; the last row is the result, its step empty.

    ``params`` (rows, p), ``loss`` (rows,), ``gradient`` (rows, p) of the loss, ``step`` (rows, p) the change taken
    (NaN in the last row), over the free parameters ``names``. First-order solvers add ``scale`` (rows, p), the
    divisor of the gradient (√v and the like) where they have one; Levenberg–Marquardt adds ``damping`` and
    ``accepted``, one row per attempt. ``index`` (rows,) counts the steps taken before each row: 0, 1, 2, … unless the
    trace was thinned.
    """

    names: tuple[str, ...]
    index: NDArray[np.int64]
    params: Array
    loss: Array
    gradient: Array
    step: Array
    extra: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True)
class Cycle:
    """The end of a first-order run that repeats itself with period two.

    ``since`` is the first step from which every parameter repeats with period 2 to lr/1000; ``low`` and ``high`` are
    the two points (by parameter), ``middle`` their mean, ``half_width`` half their distance, by parameter.
    """

    since: int
    low: dict[str, float]
    high: dict[str, float]
    middle: dict[str, float]
    half_width: dict[str, float]

    def swings_by(self, width: float) -> bool:
        """Whether every parameter's half-width is ``width``, to a fiftieth of it.

        Example
        -------
        >>> Cycle(9, {"a": 0.0}, {"a": 1.0}, {"a": 0.5}, {"a": 0.5}).swings_by(0.501)
        True
        """
        return all(abs(one - width) <= 0.02 * width for one in self.half_width.values())


@dataclass(frozen=True, slots=True)
class Combination:
    """Parameters that the data do not tell apart, and what of them is determined.

    ``names`` cannot be told apart; ``text`` is the combination that is determined ("a + c"), ``value`` its value;
    ``text`` is None where nothing of them is determined. ``exact`` is False where it holds near the answer only.
    """

    names: tuple[str, ...]
    text: str | None
    value: float | None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a parameter stands: ``part`` of the formula changes sides in ``row``, counted from 1 as in the source.

    The loss has a slope to either side of such a place, and is least on it.
    """

    name: str
    part: str
    row: int


@dataclass(frozen=True, slots=True)
class Reference:
    """The least-squares answer of the same problem, beside the result of a first-order run."""

    params: dict[str, float]
    stderr: dict[str, float | None]
    loss: float
    curvature: Array  # (p, p) second derivatives of the loss there (Gauss–Newton), over the free parameters


@dataclass(frozen=True, slots=True)
class Minimum:
    """A minimum that a search found: all parameters, the loss Σ w r²/n on all rows, and how many starts ended there.

    ``converged`` is False where a start led nowhere: what stands here is where it was left.
    """

    params: dict[str, float]
    loss: float
    reached: int
    converged: bool = True


@dataclass(frozen=True, slots=True)
class Search:
    """What a search for starting values did.

    ``starts`` counts the descents, a given start included, ``finite`` those of them that began where the formula has a
    value; ``rows`` the rows that they saw. ``minima`` are distinct, best first. ``ending`` says why it stopped: the
    best was reached often enough ("sure"), it was not and the search gave up ("unsure"), parameters that grow without
    end come lower than the best minimum ("unbounded"), the number asked for was made ("asked"), or it was cut ("time",
    "interrupted"). ``given`` is where the user's own complete start ended.
    """

    starts: int
    finite: int
    rows: int
    minima: tuple[Minimum, ...]
    ending: SearchEnding
    given: Minimum | None = None


@dataclass(frozen=True, slots=True)
class Solution:
    """A fit's claim: numbers, and the text of the formula that they belong to.

    ``weights`` are the w of Σ w r² (None: all 1); they and the columns are handed to the judges beside this record.
    """

    formula: str  # as typed, or printed from a function: always text that a reader can parse
    response: str  # the text of the left side
    columns: tuple[str, ...]  # data columns that the formula reads, the response's included
    params: dict[str, float]  # in order of first appearance, the fixed ones included
    free: tuple[str, ...]
    stderr: dict[str, float | None]
    covariance: Array  # (p, p) over ``free``; NaN where undetermined
    start: dict[str, float] | None  # None: closed form, no start
    bounds: dict[str, tuple[float, float]]
    at_bound: tuple[str, ...]
    linear: bool  # the formula is linear in its free parameters
    state: State
    solver: str  # the class's name in lower case: "linear", "levenbergmarquardt", "lbfgs", "rmsprop", …
    options: Mapping[str, Any]  # the solver's fields
    loss: float  # Σ w r² / n
    rss: float  # Σ w r²
    tss: float  # Σ w (y − ȳ_w)²
    n: int
    dof: int
    sigma_is: SigmaIs | None
    weighted: bool
    steps: int  # steps taken
    evaluations: int  # passes over the data
    seconds: float  # of the solver's own steps: no reading, compiling or judging
    combinations: tuple[Combination, ...] = ()
    cycle: Cycle | None = None
    reference: Reference | None = None
    reason: Mapping[str, Any] = field(default_factory=dict)  # facts behind a failed state: row, subexpression, step …
    kind: str = "formula"  # what was fitted: "formula", "function" of tensors, or "module"
    backend: str = "kernel"  # who computed: "kernel" or "torch"
    dtype: str = "float64"
    device: str = "cpu"
    loss_by: str = "mean"  # the mean written out, or PyTorch's own "MSELoss", which rounds otherwise
    zero_grad: bool = True  # False: gradients were left to add up from step to step
    search: Search | None = None  # None: no search was made
    edges: tuple[Edge, ...] = ()  # edges of the loss that it is least on; standard errors: the mean of both sides' JᵀJ


@dataclass(frozen=True, slots=True)
class Reached:
    """When one run of a race came within a tolerance of the answer, for good.

    ``steady``: ``step`` is the first after which it stays within to the end. ``unsteady``: it stayed within for a
    twentieth of the race, the first time from step ``entered`` on, and was outside again at step ``left``, the last
    such. ``never``: neither. Steps count what was taken: 0 is the start.
    """

    tolerance: float
    kind: Literal["steady", "unsteady", "never"]
    step: int | None = None
    entered: int | None = None
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """One run of a race: who ran, when it came how near, where it ended, and the error on the way.

    ``error`` is the largest |value − answer| of a free parameter at the end; ``path`` (m,) holds steps taken and
    ``errors`` (m,) the error there, thinned so that the highest and lowest of every stretch are kept. ``ending`` says
    what became of it, ``remark`` in words; ``facts`` are the numbers behind them.
    """

    label: str | Phrase
    solver: object  # the record of its options, steps= of the race included
    ending: LaneEnding
    remark: Phrase
    facts: Mapping[str, Any]
    reached: tuple[Reached, ...]
    steps: int  # taken
    evaluations: int  # passes over the data
    params: dict[str, float]
    loss: float
    error: float
    path: NDArray[np.int64]
    errors: Array


@dataclass(frozen=True, slots=True)
class CertifiedFit:
    """One fit of the self test: a certified problem, where it began, and how many digits of the answer are right.

    ``digits`` and ``stderr_digits`` are counted by parameter in the arrangement of equal terms and signs that is
    nearest to the certified answer; ``limits`` and ``stderr_limits`` are what the data, rounded to double, leave of
    them.
    ``outcome``: it "holds"; it is right, but "short" of the digits wanted; it is "wrong", and the verdict is not good;
    it is wrong, and the verdict is good: "silent"; or there is no answer ("none"), and all mappings but limits are
    empty.
    """

    problem: str
    suite: Literal["linear", "nonlinear"]
    start: Literal["nothing", "start 1", "start 2"]
    outcome: Literal["holds", "short", "wrong", "silent", "none"]
    verdict: Verdict
    params: Mapping[str, float]
    digits: Mapping[str, float]
    stderr_digits: Mapping[str, float]
    limits: Mapping[str, float]
    stderr_limits: Mapping[str, float]
    wanted: float  # digits of every parameter
    stderr_wanted: float  # digits of every standard error
    findings: tuple[str, ...]  # codes of warnings and failures
    seconds: float  # of the whole fit, compiling included where it had to
    reason: Phrase | None = None  # why it does not hold
    note: Phrase | None = None  # why fewer digits are wanted than elsewhere


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark about a fit; the sentences stand in the catalogue under ``finding.<CODE>``."""

    code: str
    severity: Severity
    parameter: str | None
    values: Mapping[str, Any]
    text: str
    remedy: str | None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The answer check's judgement (答え合わせ).

    ``digits`` by parameter and ``stderr_digits``: how many decimal digits the second route shares (NaN: not compared).
    ``answer`` is the second route's parameters. ``reason`` is a key of the catalogue with its ``values``; ``facts``
    holds named numbers for the report (gradient, difference, rank, route, sample).
    """

    verdict: Literal["PASS", "FAIL", "CANNOT TELL"]
    reason: str
    digits: dict[str, float]
    stderr_digits: dict[str, float]
    answer: dict[str, float]
    values: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class FitLike(Protocol):
    """What an error may carry: a fit, whatever class it is."""

    @property
    def params(self) -> dict[str, float]:
        """The parameters reached."""

    @property
    def trace(self) -> Trace | None:
        """The steps taken."""

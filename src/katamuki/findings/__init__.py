"""What deserves a remark about a fit: cheap tests on facts that are there anyway, and the verdict made of them.

Tests that look for faults by chance have a level of half a percent each, so that two in a hundred good fits are
remarked on. Where p-values of different tests meet, none is corrected for the others. Findings look at one fit; whether
the numbers are right is the answer check's business.

Sources stand at the tests. Severity: a *note* informs, a *warning* makes the verdict "look", a *failure* "failed".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from katamuki import messages, tails
from katamuki.findings.aliasing import phase_steps
from katamuki.findings.curvature import about_curvature
from katamuki.findings.making import finding
from katamuki.findings.profiles import PERFECT, Profile, bent_profiles
from katamuki.findings.residuals import ResidualFacts, residual_facts
from katamuki.findings.searching import about_search
from katamuki.records import Array, Finding, Severity, Solution, Verdict

if TYPE_CHECKING:
    from katamuki.graph import Graph

__all__ = ["bent_profiles", "examine", "extrapolates", "residual_facts", "sampled", "verdict"]

LEVEL = 0.005  # chance of a false alarm, per test
DEPENDENT = 1e4  # variance inflation: Prism's "dependency > 0.9999" (GraphPad Curve Fitting Guide, "Ambiguous")
ILL = 1e10  # condition that leaves six digits in double precision
LONE = 1e-3  # 1 − leverage below which a row in effect fixes a parameter
REGION = 0.01  # Cook's distance as an F ratio: the row moves the answer out of its 99 % region (Cook 1977)
FAR_AWAY = 1e3  # standard errors of a row beyond which what else is found is its doing
EXACT_RUNS = 200  # rows up to which the runs' probability is counted; beyond, the normal approximation

KEPT_AWAY = ("pulled", "smallest", "shrunk", "nearer", "pull", "still")  # facts behind SLOW, with words of their own
ABOUT_A_ROW = frozenset({"OUTLIERS", "INFLUENTIAL"})
AT_MINIMUM = frozenset({"exact", "converged", "not_identifiable"})
CONVERGING = frozenset({"linear", "levenbergmarquardt"})


def examine(
    solution: Solution,
    facts: ResidualFacts | None = None,
    *,
    columns: Mapping[str, Array] | None = None,
    graph: Graph | None = None,
    index: NDArray[np.int64] | None = None,
    profiles: Sequence[Profile] | None = None,
) -> tuple[Finding, ...]:
    """All findings about a solution.

    Parameters
    ----------
    solution : Solution
        The claim.
    facts : ResidualFacts, optional
        :func:`katamuki.findings.residuals.residual_facts` at the answer; without them nothing is said about residuals.
    columns : mapping, optional
        The data columns of the model, (n,) each, for ALIAS.
    graph : Graph, optional
        The model's right side, for ALIAS.
    index : (n,) int, optional
        The numbers (from 0) of the fitted rows in the source, where rows were left out.
    profiles : sequence of Profile, optional
        :func:`katamuki.findings.profiles.bent_profiles` at the answer, for CURVED.

    Returns
    -------
    tuple of Finding
        Rows in them are counted from 1, as in the source. ``values`` fill the sentence ``finding.<CODE>`` of the
        catalogue, or ``finding.<CODE>.<variant>`` where they hold a ``variant``.

    Source
    ------
    See the tests of this module, one by one.

    Example
    -------
    >>> import katamuki as km
    >>> [one.code for one in km.fit("y ~ a*x + b", km.datasets("anscombe3")).findings]
    ['OUTLIERS']
    """
    level = solution.tss if facts is None else facts.level
    found = [*_about_the_end(solution, level), *_about_parameters(solution, facts)]
    known = any(one.code == "BETTER_MINIMUM" for one in found)
    found.extend(
        one for one in about_curvature(solution, profiles or ()) if not (known and one.code == "BETTER_MINIMUM")
    )
    if facts is not None and solution.state in AT_MINIMUM:
        if solution.sigma_is == "known" and solution.dof > 0:
            found.extend(_chi_squared(solution))
        if facts.dof > 0 and facts.squares > PERFECT * facts.level:
            found.extend(_about_residuals(facts, _numbering(index)))
        elif facts.dof > 0:
            found.extend(_influence(facts, _numbering(index)))
        if any(one.code == "OUTLIERS" and one.values["distance"] > FAR_AWAY for one in found):
            found.sort(key=lambda one: one.code not in ABOUT_A_ROW)  # the cause first
    if graph is not None and columns is not None:
        found.extend(_alias(solution, columns, graph))
    return tuple(found)


def verdict(solution: Solution, findings: tuple[Finding, ...]) -> Verdict:
    """``good`` means that nothing of the severity warning or above was found and that the fit ended at a minimum."""
    state = solution.state
    if state in {"diverged", "interrupted"} or any(one.severity == "failure" for one in findings):
        return "failed"
    if state in {"cycle", "slow", "not_identifiable"} or any(one.severity == "warning" for one in findings):
        return "look"
    return "good"


def extrapolates(fitted: Mapping[str, Array], new: Mapping[str, Array]) -> tuple[Finding, ...]:
    """One finding for each predictor of which new rows lie outside the range that was fitted."""
    found = []
    for name, values in new.items():
        low, high = float(fitted[name].min()), float(fitted[name].max())
        count = int(np.count_nonzero((values < low) | (values > high)))
        if count:
            found.append(
                finding("EXTRAPOLATES", "warning", column=name, count=count, rows=len(values), low=low, high=high)
            )
    return tuple(found)


def sampled(sample: int, rows: int) -> Finding:
    """That remarks about residuals come from a part of the rows."""
    return finding("SAMPLED", "note", sample=sample, rows=rows)


def _numbering(index: NDArray[np.int64] | None) -> Callable[[int], int]:
    """From a fitted row to the number a user counts it by."""
    return lambda row: 1 + (row if index is None else int(index[row]))


def _about_the_end(solution: Solution, level: float) -> Iterator[Finding]:
    """How the solver ended."""
    state = solution.state
    if state in AT_MINIMUM:
        yield from about_search(solution, level)
    elif state == "slow" and solution.kind == "module":
        yield finding("SLOW", "warning", "network", steps=solution.steps, loss=solution.loss)
    elif state in {"diverged", "interrupted"} or solution.solver in CONVERGING:
        values: dict[str, Any] = {"state": state, "steps": solution.steps, "name": solution.free[0]}
        how = None if state == "slow" else str(state)
        if state == "diverged" and "lr" not in solution.options:
            how = "diverged_start"
        if state == "interrupted" and solution.search is not None:
            how, values["starts"] = "interrupted_search", solution.search.starts
        yield finding("NOT_CONVERGED", "failure", how, **values)
    elif state == "cycle" and solution.cycle is not None:
        middle = ", ".join(f"{name} {value:.6g}" for name, value in solution.cycle.middle.items())
        variant = "pulled" if "pulled" in solution.reason else None
        yield finding("CYCLE", "warning", variant, since=solution.cycle.since, middle=middle)
    elif solution.reference is not None:
        least = solution.reference.loss
        noise = "batches" if "noise" in solution.reason else None
        variant = next((one for one in KEPT_AWAY if one in solution.reason), noise)
        yield finding("SLOW", "warning", variant, steps=solution.steps, loss=solution.loss, least=least)
    else:
        variant = "batches_alone" if "batches" in solution.reason else "alone"
        yield finding("SLOW", "warning", variant, steps=solution.steps)


def _about_parameters(solution: Solution, facts: ResidualFacts | None) -> Iterator[Finding]:
    """Bounds, edges, what is determined, and how well."""
    for name in solution.at_bound:
        value = solution.params[name]
        yield finding("AT_BOUND", "warning", parameter=name, name=name, bound=value)
    for edge in solution.edges:
        yield finding("EDGE", "note", parameter=edge.name, name=edge.name, part=edge.part, row=edge.row)
    for one in solution.combinations:
        names = messages.few(one.names)
        variant = None if one.exact else "near"
        if one.text is None:
            variant = "none" if len(one.names) > 1 else "alone"
        yield finding(
            "UNDETERMINED",
            "warning",
            variant,
            parameter=one.names[-1],
            names=names,
            name=one.names[-1],
            combination=one.text,
            value=one.value,
        )
    if solution.free and not solution.covariance.size:
        yield finding("TOO_MANY", "note", count=len(solution.free))
    elif solution.dof == 0 and solution.state in AT_MINIMUM:
        yield finding("NO_FREEDOM", "warning", rows=solution.n)
    if facts is None or solution.state not in AT_MINIMUM:
        return
    for name, inflation in zip(solution.free, facts.inflation, strict=True):
        if inflation > DEPENDENT:
            value, stderr = solution.params[name], solution.stderr[name]
            if stderr is not None and stderr > abs(value):
                yield finding(
                    "WEAK", "warning", parameter=name, name=name, value=value, stderr=stderr, rest=1.0 / inflation
                )
    if facts.condition > ILL and facts.condition < math.inf:
        severity: Severity = "note" if solution.state == "exact" else "warning"
        digits = max(0, math.floor(16 - math.log10(facts.condition)))
        yield finding("SCALES", severity, condition=facts.condition, digits=digits)


def _chi_squared(solution: Solution) -> Iterator[Finding]:
    """With sigma known, Σ w r² is chi-squared: both tails (Pearson 1900; Press et al. 2007, section 15.1)."""
    rss, dof = solution.rss, solution.dof
    if dof > 2 and abs(tails.wilson_hilferty(rss, dof)) < 2.0:
        return
    lower, upper = tails.chi_squared(rss, dof)
    factor = math.sqrt(rss / dof)
    if upper < LEVEL / 2:
        yield finding("CHI2", "warning", factor=factor, rss=rss, dof=dof, p=upper)
    elif lower < LEVEL / 2:
        yield finding("CHI2", "warning", "small", factor=factor, rss=rss, dof=dof, p=lower)


def _about_residuals(facts: ResidualFacts, number: Callable[[int], int]) -> Iterator[Finding]:
    """Order, shape, width and single rows of the residuals."""
    yield from _runs(facts)
    yield from _spread(facts)
    yield from _outliers(facts, number)
    yield from _influence(facts, number)


def _runs(facts: ResidualFacts) -> Iterator[Finding]:
    """Signs in the order of the first predictor (Wald & Wolfowitz 1940), or a bend along the prediction.

    The bend is RESET with the squared prediction (Tukey 1949; Ramsey 1969): exact for linear models with normal
    errors, and able to see a parabola in eleven rows, where counting runs is not.
    """
    if facts.runs > 0:
        expected = 1.0 + 2.0 * facts.positive * facts.negative / (facts.positive + facts.negative)
        p = few_runs(facts.runs, facts.positive, facts.negative)
        if p < LEVEL / 2:
            yield finding("RUNS", "warning", runs=facts.runs, expected=expected, p=p)
            return
    if facts.dof > 1 and not math.isnan(facts.curve):
        p = _student(facts.curve, facts.dof - 1)
        if p < LEVEL / 2:
            yield finding("RUNS", "warning", "curve", share=facts.curve, p=p)


def _student(share: float, dof: int) -> float:
    """The p-value of a share of variance explained by one further column that leaves ``dof``.

    1.0 where the normal distribution, whose tail is thinner, already says that it is large enough.
    """
    if share >= 1.0:
        return 0.0
    t = math.sqrt(share * dof / (1.0 - share))
    return 1.0 if 2.0 * tails.normal(t) > LEVEL / 2 else tails.student(t, dof)


def few_runs(runs: int, positive: int, negative: int) -> float:
    """The probability of so few runs or fewer among so many signs in random order.

    Counted up to 200 signs; beyond, and where it is clearly large, by the normal approximation.
    """
    n = positive + negative
    if positive == 0 or negative == 0 or n < 3:
        return 1.0
    product = 2.0 * positive * negative
    mean = 1.0 + product / n
    deviation = math.sqrt(product * (product - n) / (n * n * (n - 1.0)))
    z = (runs + 0.5 - mean) / deviation if deviation > 0.0 else 0.0
    if n > EXACT_RUNS or z > -1.5:
        return tails.normal(-z)
    ways = 0
    for count in range(2, runs + 1):
        half = count // 2
        if count % 2 == 0:
            ways += 2 * math.comb(positive - 1, half - 1) * math.comb(negative - 1, half - 1)
        else:
            ways += math.comb(positive - 1, half) * math.comb(negative - 1, half - 1)
            ways += math.comb(positive - 1, half - 1) * math.comb(negative - 1, half)
    return ways / math.comb(n, positive)


def _spread(facts: ResidualFacts) -> Iterator[Finding]:
    """Squared residuals along the prediction: n times the squared correlation (Koenker 1981; Breusch & Pagan 1979).

    Rows are weighted by 1 − h: a far row with a chance residual would fire it on one good fit in fifty.
    """
    statistic = facts.rows * facts.spread * facts.spread
    p = math.erfc(math.sqrt(statistic / 2.0))
    if p < LEVEL and facts.dof > 4:
        yield finding("SPREAD", "warning", correlation=facts.spread, p=p)


def _outliers(facts: ResidualFacts, number: Callable[[int], int]) -> Iterator[Finding]:
    """The largest externally studentised residual, Bonferroni's bound over the rows (Beckman & Cook 1983).

    Two rows that pull alike can hide each other.
    """
    dof = facts.dof - 1
    if dof < 1:
        return
    left = facts.dof - facts.outlier
    t = math.sqrt(facts.outlier * dof / left) if left > 1e-12 * facts.dof else math.inf
    if facts.rows * 2.0 * tails.normal(t) > LEVEL:
        return
    p = facts.rows * tails.student(t, dof) if t < math.inf else 0.0
    if p < LEVEL:
        yield finding(
            "OUTLIERS",
            "warning",
            None if t < math.inf else "alone",
            row=number(facts.outlier_row),
            distance=t,
            p=p,
            rows=facts.rows,
        )


def _influence(facts: ResidualFacts, number: Callable[[int], int]) -> Iterator[Finding]:
    """A row that alone holds a parameter, or whose removal would move the answer far (Cook 1977).

    Cook's distance above 1 is the usual rule; with eleven rows of normal noise it fires on one fit in twenty. Here the
    distance is read as what it is, an F ratio, and must leave the 99 % region. Of a perfect fit, whose residuals are
    rounding, only the first is said.
    """
    rough = facts.squares > PERFECT * facts.level
    if 1.0 - facts.leverage < LONE:
        yield finding("INFLUENTIAL", "warning", row=number(facts.leverage_row), leverage=facts.leverage)
    elif rough and facts.cook > 1.0 and tails.fisher(facts.cook, facts.rank, facts.dof) < REGION:
        yield finding("INFLUENTIAL", "warning", "cook", row=number(facts.cook_row), cook=facts.cook)


def _alias(solution: Solution, columns: Mapping[str, Array], graph: Graph) -> Iterator[Finding]:
    """A phase that advances more than half a cycle from one evenly spaced row to the next (Nyquist 1928)."""
    for span, advance in phase_steps(graph, columns, solution.params):
        if span:
            yield finding("ALIAS", "warning", part=solution.formula[slice(*span)], advance=advance)
        else:  # a function of NumPy has no text to quote
            yield finding("ALIAS", "warning", "function", advance=advance)

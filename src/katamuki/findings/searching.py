"""What the record of a search says about the answer: other minima, a start that led elsewhere, a search cut short.

Whether the data decide between two minima of one formula is asked of the region in which the parameters lie with a
chance of 95 %: S(θ) − S(θ̂) ≤ s²·r·F(r, dof; 0.95), r the rank (Beale 1960; Gallant 1987, section 1.5; Bates & Watts
1988, section 6.2). A minimum within it is as good an answer as the best. Where sigma is known the ratio is chi-squared.
Nothing is searched here, and a minimum that no start led to cannot be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from katamuki import tails
from katamuki.findings.making import finding
from katamuki.graph import number
from katamuki.records import Finding, Minimum, Search, Solution

REGION = 0.05  # 1 − the confidence region of the usual intervals: inside it the data do not choose
EQUAL = 1e-9  # of the loss: two minima of noisy data this near are one curve with two names, not chance
WORSE = 1e-6  # of the loss: what starts that end in one minimum differ by is far less
ROUNDING = 1e-24  # of Σ w y²: sums of squares this small are rounding, whatever their ratio
AUTO = "finding.advice.auto"
NAMED = 8  # parameters of a minimum that a sentence lists, and a start that is advised
SEARCHED = 60  # parameters up to which the automatic solver searches
MANY, MORE = 256, 4  # starts that are advised at least, and times those that were made


def about_search(solution: Solution, level: float) -> Iterator[Finding]:
    """Findings about where else the fit could have ended, for an answer that is a minimum.

    Parameters
    ----------
    solution : Solution
        The claim, with the record of its search.
    level : float
        Σ w y², unit of y squared: what rounding is measured by.

    Returns
    -------
    iterator of Finding
        NOT_SEARCHED, BETTER_MINIMUM, START_WAS_KEPT, SEVERAL_MINIMA.

    Source
    ------
    Beale 1960; Gallant 1987, section 1.5.
    """
    search = solution.search
    if search is None:
        if solution.start is not None and not solution.linear:
            yield _not_searched(one_start_asked_for(solution))
        return
    if search.ending in ("time", "interrupted"):
        yield finding("NOT_SEARCHED", "warning", "cut", starts=search.starts)
    minima = [one for one in search.minima if one.converged]
    if not minima:
        return
    nothing = ROUNDING * level / solution.n
    kept = False
    for one in _better(solution, search, minima[0], nothing):
        kept = kept or one.code == "START_WAS_KEPT"
        yield one
    if search.ending == "unsure" or (search.ending == "unbounded" and minima[0].reached == 1):
        values: dict[str, Any] = {"starts": search.starts, "reached": minima[0].reached, "more": _more(search)}
        yield finding("SEVERAL_MINIMA", "warning", "unsure", **values)
    if search.ending == "unbounded":
        yield finding("SEVERAL_MINIMA", "warning", "unbounded", least=minima[0].loss)
    if not kept and len(minima) > 1:
        yield from _several(solution, search, minima, nothing)


@cache
def _not_searched(asked: bool) -> Finding:
    """The note that every nonlinear fit from one start gets."""
    return finding("NOT_SEARCHED", "note", **({"advice": AUTO} if asked else {}))


def one_start_asked_for(solution: Solution) -> bool:
    """Whether the fit would have been searched for, had the user not asked for one start."""
    able = solution.kind == "formula" and solution.solver == "levenbergmarquardt"
    return able and solution.search is None and len(solution.free) <= SEARCHED


def instead(solution: Solution) -> dict[str, Any]:
    """What is advised in the place of a start, as values of a finding: a search, or one with more starts.

    After a fit from one start, and where there are too many parameters to type.
    """
    if one_start_asked_for(solution):
        return {"advice": AUTO}
    if solution.search is None or len(solution.free) <= NAMED:
        return {}
    return {"advice": "finding.advice.starts", "more": _more(solution.search)}


def _more(search: Search) -> int:
    return max(MANY, MORE * search.starts)


def _better(solution: Solution, search: Search, best: Minimum, nothing: float) -> Iterator[Finding]:
    """Where the user's own start ended, if that is not the best minimum."""
    given = search.given
    if given is None or (given.converged and not given.loss > best.loss * (1.0 + WORSE) + nothing):
        return
    values: dict[str, Any] = {
        "yours": point(given.params, solution.free),
        "loss": given.loss,
        "other": point(best.params, solution.free),
        "least": best.loss,
        **start_of(best.params, solution.free),
    }
    if given.converged:
        if len(solution.free) > NAMED:
            values["advice"] = "finding.advice.no_start"
        yield finding("BETTER_MINIMUM", "warning", **values)
        yield finding("START_WAS_KEPT", "note")
    else:
        has_value = abs(given.loss) < float("inf")
        yield finding("BETTER_MINIMUM", "warning", "nowhere" if has_value else "no_value", **values)


def _several(solution: Solution, search: Search, minima: Sequence[Minimum], nothing: float) -> Iterator[Finding]:
    """How the next minimum compares with the best: no worse, as good an answer, or clearly worse."""
    best, other = minima[:2]
    values: dict[str, Any] = {
        "count": len(minima),
        "best": point(best.params, solution.free),
        "least": best.loss,
        "other": point(other.params, solution.free),
        "next": other.loss,
        **start_of(other.params, solution.free),
    }
    if other.loss - best.loss <= EQUAL * best.loss + nothing:
        yield finding("SEVERAL_MINIMA", "warning", "equal", **values)  # two curves: one has one name
        return
    p = chance(solution, best.loss, other.loss)
    if p > REGION:
        if len(solution.free) > NAMED:
            values["advice"] = "finding.advice.both"
        yield finding("SEVERAL_MINIMA", "warning", "close", p=p, **values)
    elif search.ending != "unsure":
        yield finding("SEVERAL_MINIMA", "note", p=p, **values)


def chance(solution: Solution, least: float, other: float) -> float:
    """The p-value of a loss ``other``, were the parameters there the true ones and ``least`` the minimum's loss."""
    rank = solution.n - solution.dof
    if rank == 0:  # nothing is determined that could differ by chance
        return 0.0
    more = (other - least) * solution.n
    if solution.sigma_is == "known":
        return tails.chi_squared(more, rank)[1]
    if solution.dof < 1 or not least > 0.0:
        return 0.0
    return tails.fisher(more / rank / (least * solution.n / solution.dof), rank, solution.dof)


def point(params: Mapping[str, float], free: Sequence[str]) -> str:
    """Free parameters as a sentence lists them: ``a 4.13711, b 0.0639634``.

    Example
    -------
    >>> point({"a": 4.137111, "c": 0.0, "b": 0.06396341}, ("a", "b"))
    'a 4.13711, b 0.0639634'
    """
    said = ", ".join(f"{name} {params[name]:.6g}" for name in free[:NAMED])
    return said + (", …" if len(free) > NAMED else "")


def start_of(params: Mapping[str, float], free: Sequence[str]) -> dict[str, str]:
    """The same as what is typed to start there: ``start`` in Python, ``flag`` on the command line.

    All digits stand there: six of a frequency may lead elsewhere, where x is far from 0.

    Example
    -------
    >>> start_of({"a": 4.137111, "b": 0.06396341}, ("a", "b"))
    {'start': '{"a": 4.137111, "b": 0.06396341}', 'flag': 'a=4.137111,b=0.06396341'}
    """
    said = {name: number(params[name]) for name in free}
    inside = ", ".join(f'"{name}": {value}' for name, value in said.items())
    return {"start": f"{{{inside}}}", "flag": ",".join(f"{name}={value}" for name, value in said.items())}

"""``katamuki.selftest``: NIST's certified problems fitted on this machine, from nothing and from both published starts.

Each fit is the one that a user gets: ``katamuki.fit`` with its defaults. Digits are counted against figures refined to
20 digits, in the nearest arrangement of equal terms and signs, and beside what the data, rounded to double, leave of
them. The worst that a fit can do is to be wrong with the verdict "good"; such rows are an outcome of their own. What is
not done here: to judge error bars by simulation, or to time anything fairly; the seconds include compiling.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from katamuki import certified
from katamuki.api.entry import fit
from katamuki.api.options import check_options, shown
from katamuki.errors import BoundsError, DataError, FitWarning, KatamukiError, NotConverged
from katamuki.messages import Phrase
from katamuki.records import CertifiedFit
from katamuki.report.numbers import number
from katamuki.report.selftest import count
from katamuki.spelling import nearest

SUITES = ("linear", "nonlinear")
Start = Literal["nothing", "start 1", "start 2"]
STARTS: tuple[Start, ...] = ("nothing", "start 1", "start 2")
WANTED = {"linear": (10.0, 10.0), "nonlinear": (11.0, 9.0)}  # digits of parameters, of standard errors
PRINTED = (6.0, 4.0)  # fewer are wrong: reports print six digits, and the answer check demands as many
CARRIED = 53 * math.log10(2)  # digits of a double; luck beyond them is not counted


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The result of :func:`katamuki.selftest`; printing it prints the table.

    Parameters
    ----------
    rows : tuple of CertifiedFit
        One record a fit: ``problem``, ``suite``, ``start``, ``outcome``, ``verdict``, ``params``, ``digits`` and
        ``stderr_digits`` by parameter, ``limits`` and ``stderr_limits``, ``wanted``, ``stderr_wanted``, ``findings``,
        ``seconds``, and a ``reason`` where it does not hold.
    asked : int
        How many fits were asked for; fewer rows were made where the test was interrupted.
    seed : int
        Of the searches.
    seconds : float
        How long it took.

    Example
    -------
    >>> import katamuki as km
    >>> found = km.selftest(["Norris", "Misra1a"])
    >>> [(row.problem, row.start) for row in found.rows][:2], found.asked
    ([('Norris', 'nothing'), ('Misra1a', 'nothing')], 4)
    """

    rows: tuple[CertifiedFit, ...]
    asked: int
    seed: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every fit that was asked for has the digits wanted."""
        return len(self.rows) == self.asked and all(row.outcome == "holds" for row in self.rows)

    def text(self, lang: str = "en", width: int = 80) -> str:
        """The table, one row a problem, what does not hold above it.

        Parameters
        ----------
        lang : str
            The language of the sentences.
        width : int
            Columns at most, where the texts allow it.

        Returns
        -------
        str
            Lines without a newline at the end.

        Example
        -------
        >>> import katamuki as km
        >>> "Norris" in km.selftest("Norris").text()
        True
        """
        from katamuki.report import selftest as words

        return words.text(self, lang=lang, width=width)

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """The test as plain data (schema ``katamuki.selftest/1``); codes and names do not depend on lang.

        Example
        -------
        >>> import katamuki as km
        >>> km.selftest("Norris").to_dict()["fits"][0]["outcome"]
        'holds'
        """
        from katamuki.report import selftest as words

        return words.as_dict(self, lang)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from katamuki.report import selftest as words

        return words.html(self)

    def __repr__(self) -> str:
        held = sum(row.outcome == "holds" for row in self.rows)
        return f"<SelfTest: {held}/{self.asked}>"


def selftest(
    problems: str | Sequence[str] | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SelfTest:
    """Fit NIST's 38 certified problems on this machine and count the digits that are right.

    Linear problems are fitted once; nonlinear ones from nothing, from the first published start and from the second.
    A fit holds if every parameter has 10 digits and every standard error 10 (linear), or 11 and 9 (nonlinear):
    digits = −log₁₀(\\|found − certified\\| / \\|certified\\|), signs and equal terms as the model allows. Where the
    data, rounded to double, leave fewer digits of a standard error, one less than those are wanted (Lanczos1).

    Parameters
    ----------
    problems : str or sequence of str, optional
        Names of problems, or ``"linear"``, ``"nonlinear"``; all 38 without it.
    seed : int
        Of the searches for starting values.
    progress : function, optional
        Called before each fit with the number of fits done and the number of all.

    Returns
    -------
    SelfTest
        ``holds``, and ``rows``: one record a fit, in the order of the suites.

    Raises
    ------
    DataError
        ``E-DATASET``: no problem is called so.
    BoundsError
        If an argument means nothing.
    NotConverged
        Only after Ctrl-C; ``.selftest`` holds the fits so far. A fit that fails is a row that does not hold.

    Source
    ------
    NIST/ITL Statistical Reference Datasets; McCullough 1998 for counting digits.

    Example
    -------
    >>> import katamuki as km
    >>> found = km.selftest(["Filip", "Longley"])
    >>> found.holds, [row.verdict for row in found.rows]
    (True, ['look', 'good'])
    """
    began = time.perf_counter()
    check_options("auto", seed, None, None, None, progress)
    runs = [
        (name, start)
        for name in _names(problems)
        for start in (STARTS if name in certified.names("nonlinear") else STARTS[:1])
    ]
    rows: list[CertifiedFit] = []
    interrupted = False
    try:
        for name, start in runs:
            if progress is not None:
                progress(len(rows), len(runs))
            rows.append(_row(certified.problem(name), start, seed))
    except KeyboardInterrupt:
        interrupted = True
    found = SelfTest(tuple(rows), len(runs), seed, time.perf_counter() - began)
    if interrupted:
        error = NotConverged("E-INTERRUPTED", "selftest.interrupted", done=len(rows), all=len(runs))
        error.selftest = found
        raise error
    return found


def _names(problems: object) -> list[str]:
    """The problems that were meant, each once, linear ones first."""
    given = [problems] if isinstance(problems, str) else SUITES if problems is None else problems
    if not isinstance(given, Sequence) or not given:
        raise BoundsError("E-USAGE", "selftest.problems", given=shown(problems))
    known = certified.names()
    wanted: set[str] = set()
    for one in given:
        if one in SUITES:
            wanted.update(certified.names(one))
        elif one in known:
            wanted.add(one)
        else:
            near = nearest(one, (*SUITES, *known), 2) if isinstance(one, str) else None
            key = "selftest.no_problem" + ("" if near is None else "_near")
            raise DataError("E-DATASET", key, given=shown(one), near=near, names=", ".join((*SUITES, *known)))
    return [name for name in known if name in wanted]


def _row(asked: certified.Problem, start: Start, seed: int) -> CertifiedFit:
    """One fit, judged."""
    given = None if start == "nothing" or asked.starts is None else asked.starts[STARTS.index(start) - 1]
    known = {"problem": asked.name, "suite": asked.suite, "start": start, **_demands(asked)}
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            made = fit(asked.formula, asked.columns, start=given, seed=seed)
    except KatamukiError as error:
        if error.code == "E-INTERRUPTED":
            raise KeyboardInterrupt from error
        known |= {"seconds": time.perf_counter() - began, "findings": (error.code,)}
        why = Phrase("selftest.none", code=error.code, what=Phrase(error.key, **error.values))
        return CertifiedFit(
            outcome="none", verdict="failed", params={}, digits={}, stderr_digits={}, reason=why, **known
        )
    known["seconds"] = time.perf_counter() - began
    found = certified.counted(asked, made.params, made.stderr)
    outcome, reason = _judged(asked, found, made.verdict, known["wanted"], known["stderr_wanted"])
    return CertifiedFit(
        outcome=outcome,
        verdict=made.verdict,
        params=found.params,
        digits=_carried(found.digits),
        stderr_digits=_carried(found.stderr_digits),
        findings=tuple(dict.fromkeys(one.code for one in made.findings if one.severity != "note")),
        reason=reason,
        **known,
    )


def _demands(asked: certified.Problem) -> dict[str, Any]:
    """What is attainable and what is wanted of a problem, by the names of the record.

    A program in double solves the rounded data, so no more can be asked for than those keep; the last digit of that is
    left to its own rounding.
    """
    limits = certified.counted(asked, _numbers(asked.rounded.params), _numbers(asked.rounded.stderr))
    found = {"limits": _carried(limits.digits), "stderr_limits": _carried(limits.stderr_digits)}
    wanted, stderr_wanted = WANTED[asked.suite]
    left = min(found["stderr_limits"].values())
    spared = math.floor(left) - 1.0
    if spared >= stderr_wanted:
        return {**found, "wanted": wanted, "stderr_wanted": stderr_wanted, "note": None}
    note = Phrase("selftest.excused", problem=asked.name, left=count(left), wanted=f"{stderr_wanted:.0f}")
    return {**found, "wanted": wanted, "stderr_wanted": spared, "note": note}


def _judged(
    asked: certified.Problem, found: certified.Counted, verdict: str, wanted: float, stderr_wanted: float
) -> tuple[Literal["holds", "short", "wrong", "silent"], Phrase | None]:
    """What became of a fit that returned, and the figure that says so."""
    name, digits = min(found.digits.items(), key=lambda one: one[1])
    bar, bar_digits = min(found.stderr_digits.items(), key=lambda one: one[1])
    of_name = {"figure": name, "found": number(found.params[name]), "exact": _printed(asked.refined.params[name])}
    of_bar = {
        "figure": Phrase("selftest.bar", name=bar),
        "found": number(found.stderr[bar]),
        "exact": _printed(asked.refined.stderr[bar]),
    }
    right, least = PRINTED[0], min(PRINTED[1], stderr_wanted)
    if digits < right or bar_digits < least:
        key: Literal["silent", "wrong"] = "silent" if verdict == "good" else "wrong"
        return key, Phrase("selftest." + key, **(of_name if digits < right else of_bar))
    if digits < wanted:
        return "short", Phrase("selftest.short", **of_name, digits=count(digits), wanted=f"{wanted:.0f}")
    if bar_digits < stderr_wanted:
        return "short", Phrase("selftest.short", **of_bar, digits=count(bar_digits), wanted=f"{stderr_wanted:.0f}")
    return "holds", None


def _printed(text: str) -> str:
    return number(float(text))


def _numbers(texts: Mapping[str, str]) -> dict[str, float]:
    return {name: float(text) for name, text in texts.items()}


def _carried(digits: Mapping[str, float]) -> dict[str, float]:
    return {name: min(one, CARRIED) for name, one in digits.items()}

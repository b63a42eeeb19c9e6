"""The report of a fit as text: what was fitted to what, the numbers with their error bars, what to doubt, the check.

The layout is the one of the README: at most 80 columns, aligned by display width. Runs of first-order solvers have
their own middle part (:mod:`katamuki.report.first_order`). It prints what the records say and computes nothing but s,
the standard error of one reading.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from katamuki import messages
from katamuki.errors import Surface, spoken
from katamuki.records import CheckReport, Finding, Search, Solution, Source
from katamuki.report import first_order
from katamuki.report.judgement import check_text, hang
from katamuki.report.layout import TOGETHER, Style, flow, hanging, head, unstyled
from katamuki.report.numbers import begun, grouped, number, plain, seconds, signed
from katamuki.report.parameters import FIRST, SHOWN, parameters
from katamuki.report.reported import Reported

SAID_BY_ENDING = frozenset({"CYCLE", "SLOW"})  # the block about the run's end says it at length
NUMBERS = frozenset({"lr", "tolerance_grad", "tolerance_change"})  # options that are shown where they are 0
# L-BFGS has many options: those that are the usual ones are not shown.
LBFGS = {"lr": 1.0, "max_iter": 20, "tolerance_grad": 1e-7, "tolerance_change": 1e-9, "history_size": 100}


def text(
    fit: Reported,
    check: CheckReport | None = None,
    plot: str | None = None,
    lang: str = "en",
    width: int = 80,
    style: Style = unstyled,
    surface: Surface = "python",
) -> str:
    """The report, as ``print(fit)`` and the command line show it.

    Parameters
    ----------
    fit : Reported
        A fit.
    check : CheckReport, optional
        The answer check's judgement, printed last.
    plot : str, optional
        A picture of characters to put in the middle.
    lang : str
        The language of the catalogue.
    width : int
        Columns at most, where the texts allow it.
    style : callable
        ``style(kind, text)`` marks words for a terminal; by default nothing is marked.
    surface : "python" or "cli"
        Where the reader can act: remedies name arguments or flags.

    Returns
    -------
    str
        Lines without a newline at the end.

    Example
    -------
    >>> import katamuki as km
    >>> from katamuki import report
    >>> print(report.text(km.fit("y ~ a*x + b", km.datasets("tutorial"))).split("\\n")[0])
    y ~ a*x + b      response y, variable x, parameters a b  linear in a b
    """
    claim = fit.solution
    spoken(lang)
    lines = heading(fit, lang, width)
    lines.append("")
    if first_order.applies(claim):
        lines.extend(first_order.result(fit, lang, width, style))
    else:
        lines.extend(parameters(fit, lang, width, style, surface))
        lines.append("")
        lines.extend(_statistics(fit, lang, width))
    if plot:
        lines.extend(["", *("  " + line if line else "" for line in plot.split("\n"))])
    ending = first_order.ending(fit, lang, width, style) if first_order.applies(claim) else []
    if ending:
        lines.extend(["", *ending])
    lines.append("")
    said = SAID_BY_ENDING if ending else frozenset()
    lines.extend(_findings(fit, said, lang, width, style, surface))
    if check is not None:
        lines.extend(check_text(check, claim, lang, width, style))
    return "\n".join(line.rstrip() for line in lines)


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("report." + key, lang, **values)


def understood(fit: Reported, lang: str = "en", width: int = 80) -> list[str]:
    """The formula, and what its names were taken for: response, variables, parameters.

    Example
    -------
    >>> import katamuki as km
    >>> print(*understood(km.fit("y ~ a*x + b", km.datasets("tutorial"))))
    y ~ a*x + b      response y, variable x, parameters a b  linear in a b
    """
    claim, variables = fit.solution, fit.predictors
    shape = "linear" if claim.linear else "nonlinear"
    many = claim.kind == "module" and len(claim.params) > SHOWN
    names = _say(
        "names.module" if many else f"names.{min(len(variables), 2)}.{min(len(claim.params), 2)}",
        lang,
        response=claim.response,
        variables=_few(variables, lang),
        parameters=grouped(len(claim.params)) if many else _few(claim.params, lang),
    )
    known = _say(shape, lang, free=_few(claim.free, lang)) if claim.kind == "formula" else _by(claim, lang)
    return head(claim.formula, names, known, columns=width)


def _by(claim: Solution, lang: str) -> str:
    """In which numbers PyTorch computed, where it did."""
    return _say("by_torch", lang, dtype=claim.dtype, device=claim.device) if claim.backend == "torch" else ""


def heading(fit: Reported, lang: str, width: int, begin: bool = True) -> list[str]:
    """What was fitted to what, and from where: the first lines of every report."""
    claim, source, by = fit.solution, fit.data, _by(fit.solution, lang)
    lines = understood(fit, lang, width)
    lines += head(str(messages.said(source.name, lang)), _read(source, lang), _left_out(source, lang), columns=width)
    weights = "known" if claim.sigma_is == "known" else "relative" if claim.sigma_is else "given"
    lines += head(
        _say(f"weights.{weights if claim.weighted else 'none'}", lang),
        _say("loss.weighted" if claim.weighted else "loss.plain", lang),
        _method(claim, lang),
        columns=width,
    )
    if "buffer" in claim.reason:
        lines += head("", _say("rows.buffer", lang, rows=grouped(claim.reason["buffer"])), columns=width)
    if not claim.zero_grad:
        lines += head("", _say("accumulates", lang), columns=width)
    if claim.kind == "formula" and by:
        lines += head("", by, columns=width)
    if claim.reason.get("output") == "column":
        lines += head("", _say("output_column", lang), columns=width)
    if claim.start is not None and begin:
        free = frozenset(claim.free)
        start = _few([f"{name}{TOGETHER}{begun(value)}" for name, value in claim.start.items() if name in free], lang)
        if claim.kind == "module":
            start = _say("start.weights", lang)
        key = "step" if claim.steps == 1 else "steps"
        steps = _say(key, lang, steps=grouped(claim.steps), seconds=seconds(claim.seconds))
        lines += head(_say("start", lang), start, steps, columns=width)
    if claim.search is not None:
        found = searched(claim.search, claim.n, lang, cells=fit.data.sample == 0)
        lines += head(_say("search", lang), *found, columns=width)
    held = [f"{name}{TOGETHER}{plain(claim.params[name])}" for name in claim.params if name not in claim.free]
    if held:
        lines += head(_say("fixed", lang), _few(held, lang), columns=width)
    if claim.bounds:
        limits = [_limits(name, *pair, lang) for name, pair in claim.bounds.items()]
        lines += head(_say("bounds", lang), "   ".join(limits), columns=width)
    return lines


def searched(search: Search, n: int, lang: str = "en", *, cells: bool = False) -> list[str]:
    """What a search did, in a line: how many starts, how many minima, how often the best; and on how many rows.

    Example
    -------
    >>> from katamuki.records import Minimum
    >>> searched(Search(64, 64, 500, (Minimum({}, 1.0, 41), Minimum({}, 2.0, 23)), "sure"), 9000)
    ['64 starts, 2 distinct minima, best reached 41 times', 'on 500 of 9000 rows']
    """
    minima = [one for one in search.minima if one.converged]
    values: dict[str, object] = {"starts": grouped(search.starts)}
    key = "search.interrupted" if search.ending == "interrupted" else "search.none"
    if minima:
        key = "search.one" if len(minima) == 1 else "search.many"
        key += ".once" if minima[0].reached == 1 else ""
        values |= {"count": grouped(len(minima)), "reached": grouped(minima[0].reached)}
    said = [_say(key, lang, **values)]
    if search.rows >= n and not cells:
        return said
    key = "search.cells" if cells else "search.rows"
    return [*said, _say(key, lang, rows=grouped(search.rows), n=grouped(n))]


def _few(names: Collection[str], lang: str) -> str:
    """Names side by side; of more than a report has room for, the first and how many more."""
    if len(names) <= SHOWN:
        return " ".join(names)
    first = " ".join(list(names)[:FIRST])
    return f"{first} {_say('more', lang, count=grouped(len(names) - FIRST))}"


def _limits(name: str, low: float, high: float, lang: str) -> str:
    if math.isinf(low):
        return _say("bounds.high", lang, name=name, high=plain(high))
    if math.isinf(high):
        return _say("bounds.low", lang, name=name, low=plain(low))
    return _say("bounds.both", lang, name=name, low=plain(low), high=plain(high))


def _read(source: Source, lang: str) -> str:
    parts = [_say("rows" if source.rows != 1 else "row", lang, rows=grouped(source.rows))]
    if source.files > 1:
        parts[0] = _say("rows.files", lang, rows=grouped(source.rows), files=grouped(source.files))
    if source.sample:
        passes = "rows.passes" if source.passes != 1 else "rows.pass"
        parts.append(_say(passes, lang, passes=source.passes, sample=grouped(source.sample)))
    if source.separator is not None:
        shown = {"\t": "tab", " ": "spaces"}.get(source.separator)
        separator = _say("separator." + shown, lang) if shown else f'"{source.separator}"'
        parts.append(_say("separator", lang, separator=separator))
    if source.decimal not in (None, "."):
        parts.append(_say("decimal", lang, decimal=source.decimal))
    if source.kind in ("csv", "tsv"):
        if source.header is None:
            parts.append(_say("no_header", lang))
        else:
            shown_names = ",".join(source.header[:6]) + (",…" if len(source.header) > 6 else "")
            parts.append(_say("header", lang, names=shown_names))
    return messages.sentence("label.comma", lang).join(parts)


def _left_out(source: Source, lang: str) -> str:
    parts = []
    if source.dropped:
        parts.append(_say("dropped.one" if source.dropped == 1 else "dropped", lang, count=grouped(source.dropped)))
    if source.where is not None:
        parts.append(_say("filtered", lang, count=grouped(source.filtered), where=source.where))
    return messages.sentence("label.comma", lang).join(parts) or _say("dropped.none", lang)


def _method(claim: Solution, lang: str) -> str:
    name = _say("solver." + claim.solver, lang)
    usual = LBFGS if claim.solver == "lbfgs" else {}
    options = [
        f"{option} {plain(value)}"
        for option, value in claim.options.items()
        if option != "steps" and value is not False and value is not None and (value != 0.0 or option in NUMBERS)
        if usual.get(option) != value
    ]
    if claim.solver == "levenbergmarquardt":
        return _say("solver.exact", lang) if claim.state == "exact" else name
    return " ".join([name, *options])


def _statistics(fit: Reported, lang: str, columns: int) -> list[str]:
    claim = fit.solution
    loss = _say("mse.weighted" if claim.weighted else "mse", lang, value=number(claim.loss))
    if claim.dof < 1:
        return ["  " + "   ".join([loss, _say("no_freedom", lang), _say("r2", lang, value=number(fit.r2))])]
    scale = math.sqrt(claim.rss / claim.dof)
    known = claim.sigma_is == "known"
    key = ("chi2" if known else "s") + (".one" if claim.dof == 1 else "")
    spread = _say(key, lang, value=number(claim.rss if known else scale), dof=grouped(claim.dof))
    lines = ["  " + "   ".join([loss, spread, _say("r2", lang, value=number(fit.r2))])]
    if known:
        scaled = [f"{name} {number(stderr * scale)}" for name, stderr in claim.stderr.items() if stderr is not None]
        parts = [_say("known", lang, s=number(scale)), *scaled]
        lines += ["  " + line for line in flow(parts, columns - 2)]
    elif claim.sigma_is == "relative":
        lines.append("  " + _say("relative", lang))
    return lines


def worded(
    finding: Finding, lang: str = "en", surface: Surface = "python", ascii_signs: bool = False
) -> tuple[str, str | None]:
    """A finding's sentence and remedy in a language, for Python or the command line; remedies are typed, in ASCII.

    Example
    -------
    >>> from katamuki.records import Finding
    >>> worded(Finding("X", "note", None, {}, "as found", None))
    ('as found', None)
    """
    base = f"finding.{finding.code}"
    variant = finding.values.get("variant")
    keys = [f"{base}.{variant}", base] if variant else [base]
    values = finding.values if ascii_signs else {name: signed(value) for name, value in finding.values.items()}
    words = messages.optional(keys[0], lang, **values)
    if words is None:
        return finding.text, finding.remedy
    ends = (".remedy.cli", ".remedy") if surface == "cli" else (".remedy",)
    remedies = remedy_keys(finding.code, finding.values)
    found = (messages.optional(key + end, lang, **finding.values) for key in remedies for end in ends)
    return words, next((one for one in found if one is not None), None)


def remedy_keys(code: str, values: Mapping[str, Any]) -> list[str]:
    """Where the remedy of a finding is looked for: the advice that it names, its variant's, its own."""
    advice, variant, base = values.get("advice"), values.get("variant"), f"finding.{code}"
    return [advice] if advice else [f"{base}.{variant}", base] if variant else [base]


def _findings(
    fit: Reported, said_before: frozenset[str], lang: str, width: int, style: Style, surface: Surface
) -> list[str]:
    order = {"failure": 0, "warning": 1, "note": 2}
    found = sorted(fit.findings, key=lambda finding: order[finding.severity])
    said = [(one, *worded(one, lang, surface)) for one in found if one.code not in said_before]
    lines = []
    for k, (one, words, remedy) in enumerate(said):
        kind = "failed" if one.severity == "failure" else one.severity
        text = f"{words} [{one.code}]"
        if remedy and remedy not in {what for _, _, what in said[k + 1 :]}:
            text += "\n" + messages.sentence("label.try", lang) + " " + remedy  # the same advice once, at the last
        lines += hanging(_say("severity." + one.severity, lang), text, style, kind, width, hang(lang))
    verdict = _say("verdict." + fit.verdict, lang)
    return lines + hanging(_say("verdict", lang), style(fit.verdict, verdict), style, "strong", width, hang(lang))

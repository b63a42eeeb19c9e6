"""A fit as a dictionary for JSON: the object of ``--json``, the head of what ``fit.save`` writes.

The schema is ``schema.json`` beside this file. NaN and infinity become ``None``; the findings say why. Numbers are
exact: Python writes the shortest text that reads back the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from katamuki import messages
from katamuki.errors import spoken
from katamuki.records import CheckReport, Cycle, Finding, Minimum, Search, Solution, Source
from katamuki.report.printed import worded
from katamuki.report.reported import Reported

SCHEMA = "katamuki.fit/1"


def as_dict(fit: Reported, check: CheckReport | None = None, lang: str = "en") -> dict[str, Any]:
    """The fit as plain dictionaries, lists, numbers and strings.

    Parameters
    ----------
    fit : Reported
        A fit.
    check : CheckReport, optional
        The answer check's judgement; ``"check"`` is None without it.
    lang : str
        The language of the sentences inside; codes and names do not depend on it.

    Returns
    -------
    dict
        As ``schema.json`` describes.

    Example
    -------
    >>> import katamuki as km
    >>> fit = km.fit("y ~ a*x + b", km.datasets("tutorial"))
    >>> from katamuki.report import as_dict
    >>> round(as_dict(fit)["params"]["a"]["value"], 6)
    0.500091
    """
    claim = fit.solution
    spoken(lang)
    return {
        "schema": SCHEMA,
        "formula": claim.formula,
        "response": claim.response,
        "columns": list(claim.columns),
        "params": _params(fit),
        "covariance": {"names": list(claim.free), "matrix": jsonable(claim.covariance)},
        "loss": jsonable(claim.loss),
        "rss": jsonable(claim.rss),
        "tss": jsonable(claim.tss),
        "n": claim.n,
        "dof": claim.dof,
        "r2": jsonable(fit.r2),
        "aic": jsonable(fit.aic),
        "aicc": jsonable(fit.aicc),
        "bic": jsonable(fit.bic),
        "verdict": fit.verdict,
        "linear": claim.linear,
        "state": _state(claim, lang),
        "findings": [_finding(one, lang) for one in fit.findings],
        "check": None if check is None else check_dict(check, lang),
        "solver": {
            "name": claim.solver,
            "options": jsonable(claim.options),
            "start": jsonable(claim.start),
            "zero_grad": claim.zero_grad,
            "backend": claim.backend,
            "dtype": claim.dtype,
            "device": claim.device,
            "steps": claim.steps,
            "evaluations": claim.evaluations,
            "seconds": jsonable(claim.seconds),
        },
        "search": None if claim.search is None else _search(claim.search),
        "weights": {"weighted": claim.weighted, "sigma_is": claim.sigma_is},
        "data": _data(fit.data),
        "provenance": provenance(getattr(fit, "seed", None)),
    }


def _params(fit: Reported) -> dict[str, Any]:
    claim = fit.solution
    intervals = fit.interval(0.95)
    found = {}
    for name, value in claim.params.items():
        low, high = intervals.get(name, (math.nan, math.nan))
        known = math.isfinite(low) and math.isfinite(high)
        found[name] = {
            "value": jsonable(value),
            "stderr": jsonable(claim.stderr.get(name)),
            "ci95": [low, high] if known else None,
            "fixed": name not in claim.free,
            "at_bound": name in claim.at_bound,
            "bounds": jsonable(claim.bounds[name]) if name in claim.bounds else None,
        }
    return found


def _state(claim: Solution, lang: str) -> dict[str, Any]:
    reference = claim.reference
    return {
        "code": claim.state,
        "facts": jsonable(claim.reason),
        "cycle": None if claim.cycle is None else _cycle(claim.cycle, lang),
        "combinations": [
            {"names": list(one.names), "text": one.text, "value": jsonable(one.value), "exact": one.exact}
            for one in claim.combinations
        ],
        "edges": [{"name": one.name, "part": one.part, "row": one.row} for one in claim.edges],
        "reference": None
        if reference is None
        else {
            "params": jsonable(reference.params),
            "stderr": jsonable(reference.stderr),
            "loss": jsonable(reference.loss),
            "curvature": jsonable(reference.curvature),
        },
    }


def _cycle(cycle: Cycle, lang: str) -> dict[str, Any]:
    return {
        "period": 2,
        "since": cycle.since,
        "definition": messages.sentence("report.cycle.definition", lang),
        "low": jsonable(cycle.low),
        "high": jsonable(cycle.high),
        "middle": jsonable(cycle.middle),
        "half_width": jsonable(cycle.half_width),
    }


def _finding(finding: Finding, lang: str) -> dict[str, Any]:
    text, remedy = worded(finding, lang, ascii_signs=True)
    return {
        "code": finding.code,
        "severity": finding.severity,
        "parameter": finding.parameter,
        "text": text,
        "remedy": remedy,
        "values": jsonable(finding.values),
    }


def _search(search: Search) -> dict[str, Any]:
    return {
        "starts": search.starts,
        "finite": search.finite,
        "rows": search.rows,
        "ending": search.ending,
        "minima": [_minimum(one) for one in search.minima],
        "given": None if search.given is None else _minimum(search.given),
    }


def _minimum(one: Minimum) -> dict[str, Any]:
    return {
        "params": jsonable(one.params),
        "loss": jsonable(one.loss),
        "reached": one.reached,
        "converged": one.converged,
    }


def check_dict(check: CheckReport, lang: str = "en") -> dict[str, Any]:
    """The judgement as a dictionary; its sentence stands in ``"text"``.

    Example
    -------
    >>> from katamuki.records import CheckReport
    >>> check_dict(CheckReport("PASS", "check.pass.qr", {}, {}, {}))["verdict"]
    'PASS'
    """
    return {
        "verdict": check.verdict,
        "reason": check.reason,
        "text": messages.sentence(check.reason, lang, **check.values),
        "digits": jsonable(check.digits),
        "stderr_digits": jsonable(check.stderr_digits),
        "answer": jsonable(check.answer),
        "facts": jsonable(check.facts),
    }


def _data(source: Source) -> dict[str, Any]:
    return {
        "source": str(source.name),
        "kind": source.kind,
        "rows": source.rows,
        "dropped": source.dropped,
        "filtered": source.filtered,
        "where": source.where,
        "separator": source.separator,
        "decimal": source.decimal,
        "header": None if source.header is None else list(source.header),
        "sha256": source.sha256,
        "files": source.files,
        "passes": source.passes or None,
        "sample": source.sample,
    }


def provenance(seed: int | None) -> dict[str, Any]:
    """What computed: versions, processor and seed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {
        "version": installed("katamuki"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "llvmlite": installed("llvmlite"),
        "cpu": _cpu(),
        "seed": seed,
    }


def _cpu() -> str:
    import platform
    from pathlib import Path

    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except (OSError, UnicodeDecodeError):
        pass
    return platform.processor() or platform.machine()


def jsonable(value: Any) -> Any:
    """The value as JSON knows it: arrays as lists, NumPy scalars as Python's, NaN and infinity as None.

    Example
    -------
    >>> jsonable({"a": np.array([1.0, np.nan]), "b": (np.int64(3), float("inf"))})
    {'a': [1.0, None], 'b': [3, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [jsonable(one) for one in value]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)

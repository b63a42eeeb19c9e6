"""What each command does once its arguments are read; each is a few public verbs of the library."""

from __future__ import annotations

import json
import math
import shutil
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import katamuki as km
from katamuki import messages, report
from katamuki.cli import values
from katamuki.cli.arguments import usage
from katamuki.cli.fitting import Outcome, certain, fitted, read
from katamuki.cli.terminal import CONTRADICTED, UNCONVERGED, Terminal, utf8
from katamuki.errors import DataError, KatamukiError
from katamuki.findings import extrapolates
from katamuki.records import HAS_AN_ANSWER, CheckReport

REPLAY = ".html"
# modules that only their commands need
ELSEWHERE = {"explain": "stories", "many": "many", "race": "racing", "selftest": "certified", "trace": "steps"}


def run(chosen: Namespace, terminal: Terminal) -> int:
    """Run the command that was chosen; its exit code."""
    if chosen.command in ELSEWHERE:
        module = import_module(f"katamuki.cli.{ELSEWHERE[chosen.command]}")
        code: int = getattr(module, chosen.command)(chosen, terminal)
        return code
    commands = {
        "fit": fit,
        "check": check,
        "plot": plot,
        "predict": predict,
        "export": export,
        "data": data,
        "__columns": columns,
    }
    return commands[chosen.command](chosen, terminal)


def fit(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki fit``: fit, check, report."""
    if chosen.json and chosen.csv:
        raise usage("cli.both", first="--json", second="--csv")
    if chosen.save is not None and not chosen.save.lower().endswith(".json"):
        raise usage("cli.save", given=chosen.save)
    outcome = fitted(chosen, terminal)
    if outcome.error is not None:
        if outcome.fit.state == "interrupted" and not (chosen.json or chosen.csv):
            terminal.print(_text(outcome, None, chosen, terminal))
        raise outcome.error
    judged = outcome.fit.check()
    if chosen.json:
        terminal.print_json(report.as_dict(outcome.fit, judged, terminal.lang))
    elif chosen.csv:
        _csv(outcome.fit, judged, chosen, terminal)
    elif chosen.quiet:
        _numbers(outcome.fit, terminal)
    else:
        terminal.print(_text(outcome, judged, chosen, terminal))
    if chosen.json or chosen.csv:
        for text in outcome.warned:
            terminal.warn(text)
    if chosen.save is not None:
        outcome.fit.save(chosen.save)
    return _judged(outcome, judged, chosen, terminal)


def _text(outcome: Outcome, judged: CheckReport | None, chosen: Namespace, terminal: Terminal) -> str:
    wanted = sys.stdout.isatty() if chosen.plot is None else chosen.plot
    picture = _picture(outcome.fit, terminal) if wanted and outcome.error is None else None
    return report.text(outcome.fit, judged, picture, terminal.lang, style=terminal.style, surface="cli")


def _picture(fit: Any, terminal: Terminal) -> str:
    from katamuki import plot as pictures

    room = shutil.get_terminal_size().columns
    return pictures.terminal(fit, width=max(40, min(room, 80) - 4), unicode=utf8(sys.stdout), lang=terminal.lang)


def _judged(outcome: Outcome, judged: CheckReport, chosen: Namespace, terminal: Terminal) -> int:
    """The exit code of a fit that returned, and the message where it is not 0."""
    if judged.verdict == "FAIL":
        return terminal.fail(KatamukiError("E-CHECK", "cli.contradicted"), CONTRADICTED)
    if outcome.fit.state == "not_identifiable":
        return terminal.fail(_undetermined(outcome.fit), UNCONVERGED)
    if getattr(chosen, "strict", False) and outcome.fit.verdict != "good":
        codes = ", ".join(one.code for one in outcome.fit.findings if one.severity != "note")
        said = messages.Phrase("report.verdict." + outcome.fit.verdict)
        error = KatamukiError("E-STRICT", "cli.strict", verdict=said, codes=codes or outcome.fit.state)
        return terminal.fail(error, UNCONVERGED)
    return 0


def _undetermined(fit: Any) -> KatamukiError:
    """The message of a fit whose data do not determine some parameters."""
    parts = fit.solution.combinations
    if not parts:
        names = [name for name in fit.free if fit.stderr[name] is None]
        key = "cli.undetermined" if fit.solution.linear else "cli.undetermined.here"
        return KatamukiError("E-IDENT", key, names=messages.Listing(names), last=names[-1] if names else "")
    one = parts[0]
    names = one.names
    known = {"names": messages.Listing(names), "last": names[-1]}
    if one.text is None or one.value is None:
        return KatamukiError("E-IDENT", "cli.undetermined" if fit.solution.linear else "cli.undetermined.here", **known)
    key = "cli.undetermined.exact" if one.exact else "cli.undetermined.near"
    return KatamukiError("E-IDENT", key, text=one.text, value=report.number(one.value), **known)


def _csv(fit: Any, judged: CheckReport, chosen: Namespace, terminal: Terminal) -> None:
    """One row with its header; --quiet leaves the header out, for loops."""
    names, cells = [], []
    for name, value in fit.params.items():
        stderr = fit.stderr[name]
        names += [name, f"{name}_stderr"]
        cells += [report.cell(value, full=True), report.cell(math.nan if stderr is None else stderr, full=True)]
    for name in ("loss", "rss", "n", "dof", "r2"):
        names.append(name)
        cells.append(report.cell(getattr(fit, name), full=True))
    names += ["verdict", "state", "check"]
    cells += [fit.verdict, fit.state, judged.verdict]
    if not chosen.quiet:
        terminal.print(",".join(report.quoted(name) for name in names))
    terminal.print(",".join(cells))


def _numbers(fit: Any, terminal: Terminal) -> None:
    """``--quiet``: the parameters and nothing else; where a run ended away from the minimum, without error bars."""
    for name, value in fit.params.items():
        bar = fit.stderr[name]
        said = f" ± {report.number(bar)}" if bar is not None else " ±—"
        shown = report.number(value, fit.rounded.get(name, math.inf))
        terminal.print(f"{name} {shown}" + (said if fit.state in HAS_AN_ANSWER else ""))


def check(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki check``: fit, and judge the answer by another route, both answers printed."""
    outcome = fitted(chosen, terminal)
    if outcome.error is not None:
        raise outcome.error
    judged = outcome.fit.check()
    if chosen.json:
        terminal.print_json(report.check_dict(judged, terminal.lang))
    else:
        lines = report.check_text(judged, outcome.fit.solution, terminal.lang, style=terminal.style, full=True)
        terminal.print("\n".join(lines))
    return _judged(outcome, judged, chosen, terminal)


def plot(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki plot``: a picture in the terminal, or in a file; an .html file is a replay of the run."""
    from katamuki.cli.racing import PICTURES

    target = None if chosen.output is None else Path(chosen.output)
    kind = "" if target is None else target.suffix.lower()
    if target is not None and kind not in (*PICTURES, REPLAY):
        raise usage("cli.picture", given=chosen.output, all=", ".join((*PICTURES, REPLAY)))
    level = _level(chosen)
    _check_picture(chosen, target, kind)
    outcome = _pictured(chosen, kind, terminal)
    if target is None:
        terminal.print(_picture(outcome.fit, terminal))
        return 0
    if chosen.interval is not None and outcome.fit.state not in HAS_AN_ANSWER:
        terminal.warn(messages.sentence("cli.no_band", terminal.lang))
    if kind == REPLAY:
        target.write_text(outcome.fit.replay_html(lang=terminal.lang), encoding="utf-8")
        return 0
    from katamuki import plot as pictures

    of = None if chosen.of is None else [name.strip() for name in chosen.of.split(",") if name.strip()]
    more: dict[str, Any] = {"what": chosen.what or "fit", "of": of, "method": chosen.method or "slice"}
    with terminal.warning():
        pictures.save(outcome.fit, target, interval=chosen.interval, level=level, lang=terminal.lang, **more)
    return 0


def _pictured(chosen: Namespace, kind: str, terminal: Terminal) -> Outcome:
    """The fit to draw; of a run that failed, its steps are drawn and the failure is a warning."""
    if kind != REPLAY and (chosen.what or "fit") == "fit":
        return certain(chosen, terminal)
    outcome = fitted(chosen, terminal)
    if outcome.error is not None:
        if outcome.fit.state == "interrupted" or outcome.fit.trace is None or len(outcome.fit.trace) < 2:
            raise outcome.error  # there is nothing to draw
        terminal.warn(outcome.error.text(terminal.lang))
    for text in outcome.warned:
        terminal.warn(text)
    return outcome


def _check_picture(chosen: Namespace, target: Path | None, kind: str) -> None:
    """Refuse flags that have no meaning for the picture that was asked for."""
    what = chosen.what or "fit"
    if target is None and (chosen.interval is not None or chosen.level is not None):
        raise usage("cli.band", flag="--interval" if chosen.interval is not None else "--level")
    if target is None and what != "fit":
        raise usage("cli.what_here", what=what)
    if kind == REPLAY:
        for name in ("what", "of", "method", "interval", "level"):
            if getattr(chosen, name) is not None:
                raise usage("cli.replay_flag", flag="--" + name)
    if what != "fit" and (chosen.interval is not None or chosen.level is not None):
        raise usage("cli.what_band", what=what, flag="--interval" if chosen.interval is not None else "--level")
    if chosen.method is not None and what != "surface":
        raise usage("cli.what_flag", flag="--method", whats="surface")
    if chosen.of is not None and what not in ("surface", "steps"):
        raise usage("cli.what_flag", flag="--of", whats="surface, steps")


def _level(chosen: Namespace) -> float:
    if chosen.level is None:
        return 0.95
    text = chosen.level.strip()
    level = values.number("--level", text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < level < 1:
        raise usage("cli.level", given=chosen.level)
    return level


def predict(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki predict``: the formula's values at new data, as CSV."""
    level = _level(chosen)
    if chosen.level is not None and chosen.interval is None:
        raise usage("cli.level_alone")
    saved = chosen.file is None and chosen.formula.endswith(".json") and "~" not in chosen.formula
    if saved:
        if chosen.at is None:
            raise usage("cli.at")
        model = km.load(chosen.formula)
    else:
        if chosen.at == "-" and chosen.file in (None, "-"):
            raise usage("cli.stdin_twice")
        model = certain(chosen, terminal).fit
    where = chosen.at if chosen.at is not None else chosen.file
    if where is None:
        raise usage("cli.at")
    table = read(where, chosen)
    found: Any = model.predict(table, interval=chosen.interval, level=level)
    names = list(model.predictors)
    series = [table[name] for name in names]
    fitted_at = {name: model.columns[name] for name in names}
    for one in extrapolates(fitted_at, dict(zip(names, series, strict=True))):
        terminal.warn(f"{report.worded(one, terminal.lang, 'cli')[0]} [{one.code}]")
    names.append(model.response)
    series += [found] if chosen.interval is None else [found.value, found.low, found.high]
    names += [] if chosen.interval is None else ["low", "high"]
    if chosen.json:
        for row in zip(*series, strict=True):
            terminal.print(json.dumps(report.jsonable(dict(zip(names, row, strict=True))), allow_nan=False))
        return 0
    if not chosen.quiet:
        terminal.print(",".join(report.quoted(name) for name in names))
    for row in zip(*series, strict=True):
        terminal.print(",".join(report.cell(float(value), full=True) for value in row))
    return 0


def export(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki export``: the fit as a program that needs one library alone."""
    if chosen.to is None:
        raise usage("cli.no_target")
    if chosen.output is not None and Path(chosen.output).suffix.lower() != ".py":
        raise usage("cli.program", given=chosen.output)
    program = certain(chosen, terminal).fit.to_code(chosen.to)
    if chosen.output is None:
        terminal.print(program, end="")
    else:
        Path(chosen.output).write_text(program, encoding="utf-8")
    return 0


def data(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki data``: the built-in sets, or one of them as CSV."""
    if chosen.name is None:
        for name in km.datasets():
            said = messages.optional("cli.set." + name, terminal.lang) or ""
            terminal.print(f"{name:<12} {said}".rstrip())
        return 0
    table = km.datasets(chosen.name)
    names = table.names
    terminal.print(",".join(report.quoted(name) for name in names))
    for row in zip(*(table[name] for name in names), strict=True):
        terminal.print(",".join(report.cell(float(value), full=True) for value in row))
    return 0


def columns(chosen: Namespace, terminal: Terminal) -> int:
    """``katamuki __columns FILE …``: the columns' names of the first file that has any, for completion."""
    for path in chosen.files:
        try:
            names = km.read(path).names
        except (DataError, OSError):
            continue
        terminal.print("\n".join(names))
        return 0
    return 0

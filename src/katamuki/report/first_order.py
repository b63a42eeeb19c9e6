"""The middle of the report of a first-order run: its result beside least squares, and how it ended.

A run of so many steps ends where it ends. The report says how far that is from the answer, in units of the learning
rate and of the standard error, and why it does not come nearer. All numbers are in the solution and its trace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from katamuki import messages
from katamuki.records import Solution, Trace
from katamuki.report.layout import Style, flow, hanging, noted, unstyled
from katamuki.report.numbers import DASH, MINUS, brief, grouped, number, table, width
from katamuki.report.reported import Reported

PULLS = ("weight_decay", "lambd")  # the options that pull parameters towards 0
HANG = 10  # where the text of why, floor and remedy begins
NAMED = 6  # parameters whose scatter is said
HALF = 0.02  # how near to lr/2 a difference is called lr/2


def applies(claim: Solution) -> bool:
    """Whether a run has a least-squares answer beside it, as first-order ones do, and L-BFGS's only differs if slow."""
    return claim.reference is not None and (claim.solver != "lbfgs" or claim.state == "slow")


def _say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("report." + key, lang, **values)


def result(fit: Reported, lang: str = "en", columns: int = 80, style: Style = unstyled) -> list[str]:
    """The table of both answers, and the loss along the way."""
    claim = fit.solution
    reference = claim.reference
    assert reference is not None  # by applies()
    lr = math.nan if claim.solver == "lbfgs" else float(claim.options.get("lr", math.nan))
    rows = [["", _say("solver." + claim.solver, lang), _say("least_squares", lang), _say("difference", lang)]]
    notes = [""]
    for name in claim.params:
        if name not in claim.free:
            continue
        value, best = claim.params[name], reference.params[name]
        rows.append([name, number(value), number(best), _signed(value - best)])
        notes.append(_distance(value - best, lr, reference.stderr.get(name), lang))
    rows.append(
        [
            _say("mse.name.weighted" if claim.weighted else "mse.name", lang),
            number(claim.loss),
            number(reference.loss),
            _signed(claim.loss - reference.loss),
        ]
    )
    notes.append(_say("after", lang, steps=grouped(claim.steps)))
    lines = noted(table(rows, gap=3), notes, columns)
    lines[0] = style("strong", lines[0])
    if fit.trace is not None and len(fit.trace) > 1:
        lines += ["", *_losses(fit.trace, "losses.batch" if batched(claim) else "losses", lang, columns)]
    return lines


def batched(claim: Solution) -> bool:
    """Whether steps took batches of rows, so that losses before the last are those of batches."""
    size = claim.options.get("batch_size")
    return isinstance(size, int) and size < claim.n


def _signed(difference: float) -> str:
    if not math.isfinite(difference):
        return DASH
    return ("+" if difference > 0 else "") + brief(difference, 3)


def _distance(difference: float, lr: float, stderr: float | None, lang: str) -> str:
    parts = []
    if lr > 0 and abs(abs(difference) - lr / 2) <= HALF * lr / 2:
        parts.append(f"{'+' if difference > 0 else MINUS}lr/2")
    if stderr is not None and stderr > 0:
        parts.append(_say("in_stderr", lang, value=brief(abs(difference) / stderr, 2)))
    return "     ".join(parts)


def _losses(trace: Trace, key: str, lang: str, columns: int) -> list[str]:
    """The loss before steps 1, 10, 100, …, and before the last; of batches their own."""
    steps = [int(index) + 1 for index in trace.index[:-1]]
    wanted = [10**k for k in range(12) if 10**k < steps[-1]] + [steps[-1]]
    where = {step: row for row, step in enumerate(steps)}
    said = [f"{grouped(step)} {number(float(trace.loss[where[step]]))}" for step in wanted if step in where]
    first = "  " + _say(key, lang) + " "
    lines = flow(said, columns - width(first), gap=2)
    return [first + lines[0], *(" " * width(first) + line for line in lines[1:])]


def ending(fit: Reported, lang: str = "en", columns: int = 80, style: Style = unstyled) -> list[str]:
    """How the run ended: a cycle, too few steps, or an answer."""
    claim = fit.solution
    if claim.state == "cycle" and claim.cycle is not None:
        return _cycle(claim, lang, columns, style)
    if claim.state == "slow":
        return _slow(claim, lang, columns, style)
    return []


def _slow(claim: Solution, lang: str, columns: int, style: Style) -> list[str]:
    """Too few steps; or what would keep the run away however many there were."""
    asked, facts = claim.options.get("steps"), claim.reason
    pulls = _pulls(claim) if "pull" in facts or "pulled" in facts else {}
    out_of_time = isinstance(asked, int) and claim.steps < asked
    key = next(
        (one for one in ("pulled", "smallest", "shrunk", "still") if one in facts), "time" if out_of_time else ""
    )
    values = {"steps": grouped(claim.steps), "size": f"{facts.get('smallest', facts.get('shrunk', 0.0)):g}"}
    lines = [style("look", _say("slow." + key if key else "slow", lang, **values))]

    def say(word: str, sentence: str) -> None:
        lines.extend(hanging("  " + _say(word, lang), sentence, columns=columns, hang=HANG))

    if pulls:
        said = {"options": messages.Listing(tuple(f"{name} {value:g}" for name, value in pulls.items()))}
        say("why", _say("slow.why.pulled" if key == "pulled" else "slow.why.pull", lang, **said))
    elif "nearer" in facts:
        stability = _stability(claim, lang)
        say("why", _say("slow.why.nearer", lang, step=grouped(int(facts["nearer"])), stability=stability))
    if "shrunk" in facts:
        say("why", _say("slow.why.shrunk", lang))
    noise = facts.get("noise")
    if noise is not None:
        say("why", _noise(claim, noise, lang))
    above = claim.loss - (claim.reference.loss if claim.reference is not None else math.nan)
    say("floor", _say("slow.floor", lang, value=brief(above, 3)))
    ways = (f"slow.{one}.remedy" for one in ("pulled", "smallest", "shrunk", "nearer", "pull", "still") if one in facts)
    usual = "slow.remedy" if noise is None else "slow.batches.remedy"
    remedy = next(ways, usual) if claim.zero_grad else "accumulates.remedy"
    zeros = messages.Listing(tuple(f"{name} 0" for name in pulls))
    say("remedy", _say(remedy, lang, solver="linear" if claim.linear else "lm", zeros=zeros))
    return lines


def _noise(claim: Solution, noise: Mapping[str, Any], lang: str) -> str:
    """That gradients are those of batches, and where the last steps lay."""
    size = int(claim.options["batch_size"])
    last = claim.n % size  # an epoch's last batch is smaller where there are rows left over
    counts = {"size": grouped(size), "rows": grouped(claim.n), "last": grouped(last)}
    names = list(noise["middle"])
    each = [f"{one} {_signed(noise['middle'][one])} ± {brief(noise['scatter'][one], 3)}" for one in names[:NAMED]]
    if len(names) > NAMED:
        each.append("…")
    key = "slow.why.noise.last" if last else "slow.why.noise"
    return _say(key, lang, **counts, steps=grouped(noise["steps"]), each=messages.Listing(tuple(each)))


def _pulls(claim: Solution) -> dict[str, float]:
    """The options that pull parameters towards 0, where they are not 0."""
    return {name: float(claim.options[name]) for name in PULLS if claim.options.get(name)}


def _cycle(claim: Solution, lang: str, columns: int, style: Style) -> list[str]:
    cycle = claim.cycle
    assert cycle is not None  # by ending()
    lines = [style("look", _say("cycle", lang, since=grouped(cycle.since)))]
    pairs = [f"{name} {number(cycle.low[name])} <-> {number(cycle.high[name])}" for name in cycle.low]
    middle = _say("cycle.middle", lang, values=" ".join(number(value) for value in cycle.middle.values()))
    lines += ["  " + line for line in flow([*pairs, middle], columns - 2)]
    why = _say(f"cycle.why.{claim.solver}", lang)
    stability = _stability(claim, lang)
    because = _say("cycle.because.stability" if stability else "cycle.because", lang, why=why, stability=stability)
    lines += hanging("  " + _say("why", lang), because, columns=columns, hang=HANG)
    assert claim.reference is not None  # by applies()
    floor = claim.loss - claim.reference.loss
    lines += hanging("  " + _say("floor", lang), _floor(claim, floor, lang), columns=columns, hang=HANG)
    pulls = _pulls(claim) if "pulled" in claim.reason else {}
    zeros = messages.Listing(tuple(f"{name} 0" for name in pulls))
    if pulls:
        said = messages.Listing(tuple(f"{name} {value:g}" for name, value in pulls.items()))
        lines += hanging("", _say("cycle.pull", lang, options=said), columns=columns, hang=HANG)
    key = "cycle.pull.remedy" if pulls else "cycle.remedy"
    lines += hanging(
        "  " + _say("remedy", lang),
        _say(key, lang, solver="linear" if claim.linear else "lm", zeros=zeros),
        columns=columns,
        hang=HANG,
    )
    return lines


def _floor(claim: Solution, floor: float, lang: str) -> str:
    """The loss above the minimum; in a cycle of half-width lr/2 with its factor of (lr/2)²."""
    factor = claim.reason.get("factor")
    if factor is not None:
        return _say("cycle.floor.lr", lang, factor=brief(factor, 4), value=brief(floor, 3))
    return _say("cycle.floor", lang, value=brief(floor, 3))


def _stability(claim: Solution, lang: str) -> str:
    facts = claim.reason
    if "stability" not in facts:
        return ""
    limit = float(facts.get("stability_limit", 2.0))
    steps = {name: grouped(int(facts[name])) for name in ("passed", "zigzag") if facts.get(name) is not None}
    key = ".".join(["stability", *steps])
    return _say(key, lang, value=f"{float(facts['stability']):.4f}", limit=f"{limit:.4g}", **steps)

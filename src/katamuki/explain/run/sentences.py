"""What is said of each event of a run: one function a code, from its numbers to a sentence of the catalogue.

Numbers are formatted here and are the same in every language; the sentences are keys ``explain.run.…``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from katamuki import messages
from katamuki.explain.run import path as run_path
from katamuki.explain.run import valley as run_valley
from katamuki.report.numbers import DASH, MINUS, brief, grouped, number, plain

TIMES = 0.05  # a first step of fewer lr is not measured in lr
LOSSLESS = 0.995  # of a swing: what is kept beyond this counts as all
COUNTED = 100  # epochs from which they are whole ones
NAMES = 4  # parameters that are named; the others are counted


def say(key: str, lang: str, **values: object) -> str:
    return messages.sentence("explain.run." + key, lang, **values)


def few(parts: Sequence[str], lang: str, more: int | None = None) -> str:
    """The first few parts side by side, and how many there are besides."""
    rest = len(parts) - NAMES if more is None else more
    shown = list(parts[:NAMES])
    if rest > 0:
        shown.append(say("and_more", lang, count=rest))
    return messages.sentence("label.comma", lang).join(shown)


def size(value: float | None) -> str:
    """A size of a few digits, a dash where it is none."""
    if value is None or not math.isfinite(value):
        return DASH
    if 1e-8 < abs(value) < 1e-4:  # 0.0000275 says more than 2.75e−05
        return f"{value:.{3 - math.floor(math.log10(abs(value)))}f}".rstrip("0").replace("-", MINUS)
    return brief(value, 4)


def _start(values: Mapping[str, Any], lang: str) -> str:
    moves = values["moves"]
    loss = say("loss", lang, loss=number(values["loss"]))
    times = values["in_lr"]
    if values["size"] == 0.0:
        return f"{loss}   {say('moves.none', lang)}"
    if values["same"]:
        key = "moves.both" if len(moves) == 2 else "moves.all"
        said = say(key, lang, count=len(moves), size=size(values["size"]))
    else:
        each = few([f"{name} {_signed(step)}" for name, step in moves.items()], lang)
        said = say("moves.each", lang, moves=each)
    if values["slope"]:
        said += " " + say("moves.slope", lang)
    elif times is not None and TIMES <= times < math.inf and (values["same"] or len(moves) == 1):
        said += " " + say("moves.times", lang, times=size(times))
    return f"{loss}   {said}"


def _signed(value: float) -> str:
    said = size(value)
    return said if said.startswith((MINUS, "0", DASH)) and value <= 0.0 else f"+{said}"


def _valley(values: Mapping[str, Any], lang: str) -> str:
    moves = [
        say("rises" if values["rises"][name] else "falls", lang, name=name, value=size(value))
        for name, value in values["to"].items()
    ]
    key = "valley" if moves else "valley.still"
    return say("loss", lang, loss=size(values["loss"])) + "   " + say(key, lang, moves=few(moves, lang))


def _floor(values: Mapping[str, Any], lang: str) -> str:
    moves = [say("rises.only" if up else "falls.only", lang, name=name) for name, up in values["rises"].items()]
    loss = say("loss", lang, loss=number(values["loss"]))
    said = f"{loss}   " + say("floor" if moves else "floor.still", lang, moves=few(moves, lang))
    return said + "\n" + condition(values, lang)


def condition(values: Mapping[str, Any], lang: str) -> str:
    kappa = _size_whole(values["condition"])
    if values["condition"] < run_valley.NARROW:
        return say("condition.round", lang, condition=kappa)
    if values["centring"] is None:
        return say("condition", lang, condition=kappa)
    after = _size_whole(values["centring"]["condition"])
    names = messages.Listing(values["centring"]["columns"])
    return say("condition.centred", lang, condition=kappa, columns=names, after=after)


def _size_whole(value: float | None) -> str:
    """A condition number: three digits."""
    return DASH if value is None else brief(value, 3)


def _turn(values: Mapping[str, Any], lang: str) -> str:
    key = "turn.peak" if values["peak"] else "turn.trough"
    return say(key, lang, name=values["name"], value=size(values["value"]))


def _limit(values: Mapping[str, Any], lang: str) -> str:
    return say("limit", lang, limit=size(values["limit"]))


def _overshoots(values: Mapping[str, Any], lang: str) -> str:
    digits = 4 if size(values["stability"]) != size(values["limit"]) else 12
    return say("overshoots", lang, value=brief(values["stability"], digits), limit=size(values["limit"]))


def _arrival(values: Mapping[str, Any], lang: str) -> str:
    first, *rest = values["levels"]
    kind = "" if values["whole"] else ".kept"
    key = kind or (".batches" if values["noisy"] else "")
    said = say("arrival" + key, lang, level=plain(first["level"]), before=grouped(first["before"]))
    if rest:
        steps = [{"step": grouped(one["step"]), "before": grouped(one["before"])} for one in rest]
        more = [say("arrival.later" + kind, lang, level=plain(one["level"]), **step)
                for one, step in zip(rest, steps, strict=True)]  # fmt: skip
        said += " " + say("arrival.rest", lang, rest=messages.sentence("label.comma", lang).join(more))
    return said


def _cycle(values: Mapping[str, Any], lang: str) -> str:
    widths = list(values["half_width"].values())
    if values["half_lr"]:
        said = say("cycle.lr", lang, half=size(values["lr"] / 2.0))
    else:
        half = ", ".join(f"{name} ±{size(one)}" for name, one in list(values["half_width"].items())[:NAMES])
        said = say("cycle", lang, half=half if len(widths) <= NAMES else f"{half}, …")
    above = values["above"]
    if above is None:
        return said
    if values["factor"] is not None:
        tail = say("cycle.floor.lr", lang, factor=brief(values["factor"], 4), value=size(above))
    else:
        tail = say("cycle.floor", lang, value=size(above))
    return f"{said}\n{tail}"


def _swings(values: Mapping[str, Any], lang: str) -> str:
    facts = {"name": values["name"], "first": size(values["first"]), "period": brief(values["period"], 3)}
    key = "swings" if values["kept"] < LOSSLESS else "swings.lossless"
    said = say(key, lang, kept=brief(values["kept"], 2), count=values["crossings"], **facts)
    return said + (" " + say("swings.momentum", lang) if values["momentum"] else "")


def _burst(values: Mapping[str, Any], lang: str) -> str:
    facts = {"level": brief(values["level"]), "distance": brief(values["distance"], 2), "peak": grouped(values["peak"])}
    kept = run_path.KEPT
    said = say("burst", lang, kept=kept, **facts)
    if values["count"] > 1:
        said += " " + say("burst.more", lang, count=values["count"])
    return said


def _plateau(values: Mapping[str, Any], lang: str) -> str:
    said = say("plateau", lang, end=grouped(values["end"]), loss=size(values["loss"]), change=run_path.FLAT * 100)
    return f"{said} {say('plateau.' + values['kind'], lang)}"


def _not_finite(values: Mapping[str, Any], lang: str) -> str:
    here = few([f"{name} {size(one)}" for name, one in values["params"].items()], lang)
    if values.get("squares"):
        return say("not_finite.squares", lang, params=here)
    if values["part"] is None:
        return say("not_finite", lang, params=here)
    said = say("not_finite.part", lang, part=values["part"], rows=values["rows"], params=here)
    return said if values["domain"] is None else f"{said}\n{values['domain'].text(lang)}"


def _diverged(values: Mapping[str, Any], lang: str) -> str:
    said = say("diverged", lang, start=size(values["start_loss"]), loss=size(values["loss"]))
    if values["growth"] is not None:
        said += " " + say("diverged.growth", lang, growth=size(values["growth"]))
    largest = values["largest_lr"]
    if largest is not None and values["lr"] >= largest:
        fastest = values["fastest_lr"]
        key = "diverged.largest" if fastest is None else "diverged.fastest"
        said += "\n" + say(key, lang, largest=f"{largest:#.5g}", fastest=f"{fastest or 0.0:#.5g}")
        said += "\n" + say("diverged.why", lang, value=size(values["stability"]), limit=size(values["limit"]))
    return said


def _converged(values: Mapping[str, Any], lang: str) -> str:
    cosine = values["cosine"]
    said = say("converged", lang, cosine=brief(cosine)) if cosine is not None else say("converged.plain", lang)
    if values["undamped"]:
        said += "\n" + say("converged.undamped" if values["undamped"] > 1 else "converged.undamped.one", lang,
                            count=values["undamped"])  # fmt: skip
    if values["pace"] == "quadratic":
        said += "\n" + say("pace.quadratic", lang)
    elif values["pace"] == "superlinear":
        gains = ", ".join(brief(one, 2) for one in values["gains"])
        said += "\n" + say("pace.superlinear", lang, gains=gains)
    elif values["pace"] == "linear":
        said += "\n" + say("pace.linear", lang, gain=brief(values["gain"], 2))
    return said


def _named(key: str) -> Callable[[Mapping[str, Any], str], str]:
    """Words that need the event's counts alone."""

    def words(values: Mapping[str, Any], lang: str) -> str:
        said = {name: grouped(one) if isinstance(one, int) else one for name, one in values.items()}
        return say(key, lang, **said)

    return words


def _accumulates(values: Mapping[str, Any], lang: str) -> str:
    plain_descent = values["solver"] == "sgd" and values["plain"]
    return say("accumulates.sgd" if plain_descent else "accumulates", lang)


def _undetermined(values: Mapping[str, Any], lang: str) -> str:
    names = messages.Listing(values["names"])
    if values["text"] is None or values["value"] is None:
        return say("undetermined.none", lang, names=names)
    key = "undetermined" if values["exact"] else "undetermined.near"
    return say(key, lang, names=names, text=values["text"], value=number(values["value"]))


def _at_bound(values: Mapping[str, Any], lang: str) -> str:
    return say("at_bound", lang, names=messages.Listing(values["names"]))


def _smallest(values: Mapping[str, Any], lang: str) -> str:
    return say("smallest", lang, size=size(values["value"]))


def _saturated(values: Mapping[str, Any], lang: str) -> str:
    return say("saturated", lang, loss=size(values["loss"]))


def _batches(values: Mapping[str, Any], lang: str) -> str:
    last = values["rows"] % values["size"]  # an epoch's last batch is smaller where there are rows left over
    key = ("batches.last" if last else "batches") if values["per_epoch"] > 1 else "batches.whole"
    told = {name: grouped(values[name]) for name in ("size", "rows", "per_epoch")} | {"last": grouped(last)}
    epochs = values["epochs"]
    said = brief(epochs, 3) if epochs < COUNTED else grouped(round(epochs))
    return say(key, lang, **told, epochs=said, seed=values["seed"])


def _noise(values: Mapping[str, Any], lang: str) -> str:
    each = [f"{name} {_signed(middle)} ± {size(values['scatter'][name])}" for name, middle in values["middle"].items()]
    return say("noise", lang, steps=grouped(values["steps"]), each=few(each, lang))


def _shrunk(values: Mapping[str, Any], lang: str) -> str:
    return say("shrunk", lang, size=size(values["value"]))


def _edge(values: Mapping[str, Any], lang: str) -> str:
    if "name" not in values:
        return say("edge.several", lang, part=values["part"], row=grouped(values["row"]))
    told = {"name": values["name"], "value": repr(values["value"])}  # to be typed: every digit
    return say("edge", lang, part=values["part"], row=grouped(values["row"]), **told)


def _on_edge(values: Mapping[str, Any], lang: str) -> str:
    told = {"name": values["name"], "value": number(values["value"])}
    return say("on_edge", lang, part=values["part"], row=grouped(values["row"]), **told)


def _stalled(values: Mapping[str, Any], lang: str) -> str:
    if not values["attempts"]:
        return say("stalled.start", lang)
    return say("stalled.fell" if values["fell"] else "stalled", lang, attempts=grouped(values["attempts"]))


WORDS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "start": _start,
    "batches": _batches,
    "noise": _noise,
    "accumulates": _accumulates,
    "valley": _valley,
    "floor": _floor,
    "turn": _turn,
    "stability_limit": _limit,
    "zigzag": _named("zigzag"),
    "overshoots": _overshoots,
    "arrival": _arrival,
    "cycle": _cycle,
    "swings": _swings,
    "burst": _burst,
    "plateau": _plateau,
    "not_finite": _not_finite,
    "diverged": _diverged,
    "interrupted": _named("interrupted"),
    "time_over": _named("time_over"),
    "saturated": _saturated,
    "undetermined": _undetermined,
    "at_bound": _at_bound,
    "stopped": _named("stopped"),
    "pulled": _named("pulled"),
    "smallest": _smallest,
    "shrunk": _shrunk,
    "nearer": _named("nearer"),
    "solved": _named("solved"),
    "refused": _named("refused"),
    "converged": _converged,
    "attempts_over": _named("attempts_over"),
    "edge": _edge,
    "on_edge": _on_edge,
    "stalled": _stalled,
}
LABELS = {
    "start": "step", "accumulates": "every", "overshoots": "every", "valley": "to", "floor": "to", "arrival": "after",
    "cycle": "from", "plateau": "from", "swings": "from", "interrupted": "after", "time_over": "after",
    "solved": "method", "refused": "from", "converged": "end", "attempts_over": "end", "stalled": "end",
    "edge": "end", "on_edge": "end", "shrunk": "end",
    "saturated": "end", "not_finite": "after", "pulled": "end", "smallest": "end", "undetermined": "end",
    "at_bound": "end", "stopped": "after", "batches": "every", "noise": "end",
}  # fmt: skip

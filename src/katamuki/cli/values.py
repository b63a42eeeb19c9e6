"""From the text of flags to what ``katamuki.fit`` takes: numbers, names, bounds and solvers, checked on the way."""

from __future__ import annotations

import dataclasses
import math
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import katamuki as km
from katamuki.cli.arguments import nearest, usage
from katamuki.cli.flags import CLASSES
from katamuki.errors import KatamukiError

REFUSED = ("adafactor", "muon", "sparseadam")  # of torch.optim; the library says why

UNITS = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
PAIRS = {"--bounds": "a=0:1,b=0:", "--time": "t=s", "--solver": "sgd:lr=0.01,steps=1000"}  # what they may look like


def number(flag: str, text: str) -> float:
    """A finite number; ``flag`` is named where it is none.

    Example
    -------
    >>> number("--lr", "1e-3")
    0.001
    """
    try:
        value = float(text)
    except ValueError:
        raise usage("cli.no_number", flag=flag, given=text) from None
    if not math.isfinite(value):
        raise usage("cli.no_number", flag=flag, given=text)
    return value


def whole(flag: str, text: str) -> int:
    """A whole number, ``1e6`` and ``1_000`` included.

    Example
    -------
    >>> whole("--steps", "1e6"), whole("--steps", "6000")
    (1000000, 6000)
    """
    try:
        value = number(flag, text)
    except KatamukiError:
        raise usage("cli.no_whole", flag=flag, given=text) from None
    return whole_of(flag, text, value)


def whole_of(flag: str, text: str, value: float) -> int:
    """A value that was read from a text, as the whole number that it is."""
    if value != int(value):
        raise usage("cli.no_whole", flag=flag, given=text)
    return int(value)


def size(flag: str, text: str) -> int:
    """Bytes: a whole number, or one with a unit of a thousand's power.

    Example
    -------
    >>> size("--max-memory", "1GB"), size("--max-memory", "1.5 mb"), size("--max-memory", "4096")
    (1000000000, 1500000, 4096)
    """
    plain = text.strip().lower().removesuffix("b")
    factor = UNITS.get(plain[-1:], 1)
    return whole_of(flag, text, number(flag, plain[:-1] if factor > 1 else plain) * factor)


def pairs(flag: str, given: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """``a=0.5,b=0.5`` as names and texts.

    Example
    -------
    >>> list(pairs("--start", ["a=0.5,b=2", "c=1"]))
    [('a', '0.5'), ('b', '2'), ('c', '1')]
    """
    seen = set()
    for part in (part for text in given or () for part in text.split(",")):
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            raise usage("cli.no_pair", flag=flag, given=part, example=PAIRS.get(flag, "a=1,b=2"))
        if name in seen:
            raise usage("cli.twice", flag=flag, name=name)
        seen.add(name)
        yield name, value


def bounds(given: Sequence[str] | None) -> dict[str, tuple[float | None, float | None]]:
    """``a=0:1,b=0:`` as pairs; an open end is None.

    Example
    -------
    >>> bounds(["a=0:1,b=-2:"])
    {'a': (0.0, 1.0), 'b': (-2.0, None)}
    """
    found = {}
    for name, text in pairs("--bounds", given):
        low, colon, high = text.partition(":")
        if not colon or not (low or high):
            raise usage("cli.no_interval", name=name, given=text)
        found[name] = tuple(_end(end) for end in (low, high))
    return found  # type: ignore[return-value]


def _end(text: str) -> float | None:
    return number("--bounds", text) if text and text not in ("-inf", "inf", "+inf") else None


def read_options(chosen: Namespace) -> dict[str, Any]:
    """What ``katamuki.read`` is told."""
    sep = {"tab": "\t", "\\t": "\t", "space": " ", "spaces": " "}.get(chosen.sep, chosen.sep)
    if sep is not None and len(sep) != 1:
        raise usage("cli.sep", given=chosen.sep)
    time = dict(pairs("--time", chosen.time)) or None
    return {"sep": sep, "decimal": chosen.decimal, "header": chosen.header, "time": time}


def model_options(chosen: Namespace) -> dict[str, Any]:
    """What ``katamuki.fit`` and ``katamuki.race`` are told about parameters, weights and rows; only what was said."""
    options: dict[str, Any] = {}
    if chosen.start:
        options["start"] = {name: number("--start", text) for name, text in pairs("--start", chosen.start)}
    if chosen.fix:
        options["fixed"] = {name: number("--fix", text) for name, text in pairs("--fix", chosen.fix)}
    if chosen.params:
        options["params"] = [name.strip() for name in chosen.params.split(",") if name.strip()]
    for name in ("sigma", "weights"):
        if getattr(chosen, name) is not None:
            options[name] = _column_or_number(getattr(chosen, name))
    for name in ("sigma_is", "where", "missing"):
        if getattr(chosen, name) is not None:
            options[name] = getattr(chosen, name)
    if chosen.max_seconds is not None:
        options["max_seconds"] = number("--max-seconds", chosen.max_seconds)
    return options


def fit_options(chosen: Namespace) -> dict[str, Any]:
    """What ``katamuki.fit`` is told; only what the user said."""
    options = model_options(chosen)
    if chosen.bounds:
        options["bounds"] = bounds(chosen.bounds)
    if chosen.loss is not None and chosen.loss != "squared":
        raise usage("cli.loss", given=chosen.loss)
    if chosen.starts is not None:
        options["starts"] = "auto" if chosen.starts == "auto" else _starts(chosen.starts)
    if chosen.seed is not None:
        options["seed"] = whole("--seed", chosen.seed)
    if chosen.max_memory is not None:
        options["max_memory"] = size("--max-memory", chosen.max_memory)
    for name in ("backend", "dtype", "device"):
        if getattr(chosen, name) is not None:
            options[name] = getattr(chosen, name)
    options["solver"] = solver(chosen)
    return options


def many_options(chosen: Namespace) -> dict[str, Any]:
    """What ``katamuki.fit_many`` is told; only what the user said."""
    options = model_options(chosen)
    if chosen.by is None:
        raise usage("cli.no_by")
    options["by"] = [name.strip() for name in chosen.by.split(",") if name.strip()]
    if chosen.bounds:
        options["bounds"] = bounds(chosen.bounds)
    if chosen.starts is not None:
        options["starts"] = "auto" if chosen.starts == "auto" else _starts(chosen.starts)
    if chosen.max_memory is not None:
        options["max_memory"] = size("--max-memory", chosen.max_memory)
    for name in ("seed", "threads", "check"):
        if getattr(chosen, name) is not None:
            options[name] = whole("--" + name, getattr(chosen, name))
    for flag, name in (("output", "output"), ("resume", "resume"), ("force", "overwrite")):
        if getattr(chosen, flag):
            options[name] = getattr(chosen, flag)
    return options


def _starts(text: str) -> int:
    """How many starts are asked for."""
    try:
        return whole("--starts", text)
    except KatamukiError:
        raise usage("cli.starts", given=text) from None


def race_options(chosen: Namespace) -> dict[str, Any]:
    """What ``katamuki.race`` is told; only what the user said."""
    options = model_options(chosen)
    if chosen.steps is not None:
        options["steps"] = whole("--steps", chosen.steps)
    if chosen.seed is not None:
        options["seed"] = whole("--seed", chosen.seed)
    return options | {"solvers": lanes(chosen)}


def _column_or_number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def solver(chosen: Namespace) -> Any:
    """The solver that ``--solver``, ``--lr`` and ``--steps`` name; "auto" where nothing is said."""
    return _made(chosen.solver or "auto", {"lr": chosen.lr, "steps": chosen.steps})


def lanes(chosen: Namespace) -> list[Any] | None:
    """The solvers of a race, one for each ``--solver``; None where nothing is said."""
    return None if chosen.solver is None else [_made(text, {}) for text in chosen.solver]


def _made(text: str, short: Mapping[str, str | None]) -> Any:
    """The record that ``name:option=value,…`` describes; ``short`` are options with a flag of their own."""
    name, _, text = text.partition(":")
    name = name.strip().lower()
    given = dict(pairs("--solver", [text])) if text else {}
    if name in REFUSED:
        return name
    made = getattr(km, CLASSES[name]) if name in CLASSES else None
    if made is None and name != "auto":
        known = ("auto", *CLASSES)
        near = nearest(name, known)
        raise usage("cli.solver" + ("_near" if near else ""), given=name, near=near, all=", ".join(known))
    fields = {} if made is None else {field.name: field for field in dataclasses.fields(made)}
    for option, value in short.items():
        if value is not None:
            if option not in fields:
                having = [one for one in CLASSES if _has(one, option)]
                raise usage("cli.meaningless", flag="--" + option, solver=name, all=", ".join(having))
            if option in given:
                raise usage("cli.twice", flag="--solver", name=option)
            given[option] = value
    values = {}
    for option, value in given.items():
        if option not in fields:
            near = nearest(option, fields)
            others = ", ".join(one for one in CLASSES if _has(one, option))
            raise usage(_no_option(name, option, near), option=option, solver=name, near=near,
                        all=", ".join(fields), having=others)  # fmt: skip
        flag = f"--{option}" if short.get(option) is not None else f"--solver {name}:{option}"
        values[option] = _typed(flag, value, str(fields[option].type))
    return "auto" if made is None else made(**values)


def _no_option(solver: str, option: str, near: str | None) -> str:
    """The sentence for an option that a solver lacks: with its nearest name, or why there is none."""
    if near:
        return "cli.option_near"
    if option == "batch_size":
        return "cli.option_batch_" + {"auto": "auto", "linear": "closed"}.get(solver, "all")
    if solver not in ("auto", "linear"):
        return "cli.option"
    return "cli.option_bare" if any(_has(one, option) for one in CLASSES) else "cli.option_none"


def _has(solver: str, option: str) -> bool:
    return any(field.name == option for field in dataclasses.fields(getattr(km, CLASSES[solver])))


def _typed(flag: str, text: str, kind: str) -> Any:
    """The text as a value of the kind that the option's type says: ``float``, ``tuple[float, float]``, ``str | None``.

    Example
    -------
    >>> _typed("--lr", "1e-3", "float"), _typed("--solver adam:betas", "0.9/0.99", "tuple[float, float]")
    (0.001, (0.9, 0.99))
    """
    kinds = [one.strip() for one in kind.split("|")]
    if "None" in kinds and text.lower() == "none":
        return None
    if "str" in kinds or kinds[0].startswith("Literal"):
        return text
    if kinds[0] == "bool":
        if text.lower() not in ("true", "false"):
            raise usage("cli.no_boolean", flag=flag, given=text)
        return text.lower() == "true"
    if kinds[0] == "int":
        return whole(flag, text)
    if kinds[0].startswith("tuple"):
        return tuple(number(flag, part) for part in text.split("/"))
    return number(flag, text)

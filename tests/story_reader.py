"""A reader of printed steps: it takes the text alone, and does every calculation again that the text shows.

``claims(text)`` gives each number that a story says follows from others, with what really follows from their printed
digits. It knows how a story is laid out, and nothing of the code that printed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from intervals import Interval, evaluate, fixed, printed

NUMBER = r"[+−]?\d+(?:\.\d+)?(?:e[+−]\d+)?"


@dataclass
class Claim:
    """A number on paper, and what follows from the numbers above it."""

    what: str
    shown: Interval
    follows: Interval

    @property
    def holds(self) -> bool:
        return self.follows.holds(self.shown)

    @property
    def tells(self) -> bool:
        """Whether the printed digits really determine it: to a hundredth of what is shown."""
        return self.follows.half <= 0.01 * max(abs(self.shown.middle), 1e-300)


@dataclass
class Table:
    """Rows of numbers by column title; sums that stand at the foot."""

    titles: list[str] = field(default_factory=list)
    rows: dict[int, dict[str, Interval]] = field(default_factory=dict)
    foot: list[str] = field(default_factory=list)
    whole: bool = True


@dataclass
class Story:
    """What stands in the five parts."""

    parts: dict[str, list[str]]
    params: dict[str, Interval] = field(default_factory=dict)
    shared: dict[str, Interval] = field(default_factory=dict)
    values: Table = field(default_factory=Table)
    rules: dict[str, list[str]] = field(default_factory=dict)  # ∂L/∂m: its terms in letters, numbers and result
    gradients: dict[str, Interval] = field(default_factory=dict)
    sums: Table = field(default_factory=Table)
    row: int = 1


def claims(text: str) -> Iterator[Claim]:
    """Every claim of a story, in its order."""
    story = Story(_parts(_plain(text)))
    yield from _forward(story)
    yield from _backward(story)
    moves: dict[str, tuple[Interval | None, Interval]] = {}
    yield from _solver(story, moves)
    yield from _new(story, moves)
    yield from _helped(story)


def _plain(text: str) -> str:
    """The text with a letter in the place of a response that is an expression of its own, such as log(y)."""
    head = next(line for line in text.splitlines() if re.match(r" +i  ", line))
    for title in re.split(r"\s{2,}", head.strip()):
        if "=" not in title and "(" in title:
            text = text.replace(title, "Y".ljust(len(title)))
    return text


def _parts(text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"([1-5])  \S", line):
            current = parts.setdefault(found[1], [])
        current.append(line)
    return parts


def _tables(lines: list[str], head: str) -> tuple[Table, list[str]]:
    """All tables of a part, joined by the row's number, and the lines that belong to none."""
    table, rest, titles = Table(), [], []
    for line in lines:
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] == head and len(cells) > 1:
            titles = cells[1:]
            table.titles += [one for one in titles if one not in table.titles]
        elif titles and re.fullmatch(rf"\d+(?:\s+{NUMBER})+", line.strip()):
            row, *numbers = line.split()
            assert len(numbers) == len(titles), line
            here = table.rows.setdefault(int(row), {})
            here |= {title.split(" = ")[0]: printed(one) for title, one in zip(titles, numbers, strict=True)}
        elif titles and line.strip().startswith("…"):
            table.whole = False
        elif titles and re.match(rf"\s*Σ (?:\S+ = )?{NUMBER}", line):
            table.foot += [one.strip() for one in cells]
        else:
            titles = []
            rest.append(line)
    return table, rest


def _forward(story: Story) -> Iterator[Claim]:
    table, rest = _tables(story.parts["1"], "i")
    rest = _joined(rest, r" {7}\S")
    story.values = table
    said = rest[0] + "".join("  " + line for line in rest[1:] if re.fullmatch(r"(   [A-Za-z_]\w* = [−\d]\S*)+", line))
    for name, number in re.findall(rf"(?<=  )([A-Za-z_]\w*) = ({NUMBER})(?=\s|$)", said):
        if f"{name} = mean" not in said:
            story.params.setdefault(name, printed(number))
    for line in rest[1:]:
        if found := re.fullmatch(rf"   (\S+) = ({NUMBER})   \(.*\)", line):
            story.shared[found[1]] = printed(found[2])
        elif found := re.fullmatch(rf"   (\S+) = (.+) = ({NUMBER})   \(.*\)", line):
            story.shared[found[1]] = printed(found[3])
            for term in found[2].split(" = "):
                yield Claim(line.strip(), printed(found[3]), evaluate(term, story.params | story.shared))
    for row, cells in table.rows.items():
        for title in table.titles:
            name, _, rule = title.partition(" = ")
            if rule:
                yield Claim(f"{title}, row {row}", cells[name], evaluate(rule, _row(story, row)))
    if table.whole:
        for text in table.foot:
            found = re.fullmatch(rf"Σ (\S+) = ({NUMBER})", text)
            assert found is not None, text
            total = _added(cells[found[1]] for cells in table.rows.values())
            yield Claim(text, printed(found[2]), total)
    loss = next(line for line in rest if " = mean(" in line)
    found = re.search(rf"= ({NUMBER}) / (\d+) = ({NUMBER})", loss)
    assert found is not None, loss
    yield Claim(loss.strip(), printed(found[3]), printed(found[1]) / _exact(found[2]))


def _exact(text: str) -> Interval:
    return Interval(float(text), float(text))


def _added(terms: Iterator[Interval]) -> Interval:
    total = Interval(0.0, 0.0)
    for one in terms:
        total = total + one
    return total


def _row(story: Story, row: int) -> dict[str, Interval]:
    return story.params | story.shared | story.values.rows[row]


def _joined(lines: list[str], mark: str) -> list[str]:
    """Lines with those that go on further in put behind them."""
    found: list[str] = []
    for line in lines:
        if found and re.match(mark, line):
            found[-1] += " " + line.strip()
        else:
            found.append(line)
    return found


def _backward(story: Story) -> Iterator[Claim]:
    lines = story.parts["2"]
    story.row = int((re.search(r"\((?:row|i =) (\d+)[,)]", lines[0]) or ["", "1"])[1])
    story.sums, rest = _tables(lines[1:], "i")
    for line in _joined(rest, r" {10,}= "):
        found = re.match(r" +(?:[^\s∂]\S* +)?(∂L/∂\S+) +(= .*)", line)
        if found and not line.strip().startswith("checked"):
            terms = [term.strip() for term in found[2].removeprefix("= ").split(" = ")]
            yield from _gradient(story, found[1], terms)
    text = "\n".join(rest)
    found = re.search(r"checked by differences: ([^ ,]+(?:, [^ ,]+)*)\s+agree to (\S+)", text)
    if found and printed(found[2]).high < 1e-8:  # in units of what is summed up, which may be much more than the sum
        wanted = [f"∂L/∂{name}" for name in story.params if f"∂L/∂{name}" in story.gradients]
        for name, number in zip(wanted, found[1].split(", "), strict=True):
            near, shown = story.gradients[name], printed(number)
            yield Claim(f"{name} by differences", shown, Interval(near.low - near.half, near.high + near.half))
    yield from _sums(story)


def _gradient(story: Story, name: str, terms: list[str]) -> Iterator[Claim]:
    """One line of the walk: every term is the same number."""
    *said, last = terms
    shown = printed(last)
    story.rules[name] = terms
    for term in said:
        if "Σ" not in term:
            yield Claim(f"{name} = {term}", shown, evaluate(term, lambda one: _known(story, one, story.row)))
        elif (found := re.fullmatch(r"(−?\d+/\d+) · Σ (.+)", term)) and story.values.whole:
            total = _added(evaluate(found[2], _row(story, row)) for row in story.values.rows)
            yield Claim(f"{name} = {term}", shown, evaluate(found[1], {}) * total)
    story.gradients[name] = shown


def _known(story: Story, name: str, row: int) -> Interval:
    """A name's number in a row: a value, or a gradient by its own rule."""
    if name.startswith("∂L/∂") and row == story.row and name in story.gradients:
        return story.gradients[name]
    if name in story.sums.rows.get(row, {}):
        return story.sums.rows[row][name]
    if name.startswith("∂L/∂"):
        return evaluate(story.rules[name][0], lambda one: _known(story, one, row))
    return _row(story, row)[name]


def _sums(story: Story) -> Iterator[Claim]:
    """The table of gradients in every row: each by its rule, each sum by its rows."""
    for row, cells in story.sums.rows.items():
        for title, shown in cells.items():
            rule = story.rules[title][0] if title in story.rules else title
            if not rule.startswith("Σ"):
                follows = evaluate(rule, lambda one, row=row: _known(story, one, row))
                yield Claim(f"{title}, row {row}", shown, follows)
    if not story.sums.whole:
        return
    sums = {
        terms[0].removeprefix("Σ ").strip("()").replace(" ", ""): terms
        for terms in story.rules.values()
        if terms[0].startswith("Σ")
    }
    for title in story.sums.titles:
        terms = sums.get(title.replace(" ", ""))
        if terms is not None and len(terms) == 2:
            total = _added(cells[title] for cells in story.sums.rows.values())
            yield Claim(f"Σ {title}", printed(terms[-1]), total)


def _solver(story: Story, moves: dict[str, tuple[Interval | None, Interval]]) -> Iterator[Claim]:
    """The solver's equations; what it subtracts from each parameter."""
    name, kept = "", None
    for line in _joined(story.parts["3"][1:], r" {8,}(?![\w']+ = )"):
        found = re.match(r"   (?:(\S+) +| +)([A-Za-z]+'?_?) = (.+)", line)
        if not found:
            continue
        if found[1]:
            name, kept = found[1], None
        terms = re.sub(r"   \(.*\)$", "", found[3]).split(" = ")
        shown = printed(terms[-1]) if re.fullmatch(NUMBER, terms[-1]) else None
        if shown is None:
            continue
        if len(terms) == 2:
            yield Claim(f"{name}: {found[2]} = {found[3]}", shown, evaluate(terms[0], {}))
        if found[2].rstrip("_") == "kept":
            kept = shown
        elif found[2].rstrip("_") == "step":
            moves[name] = (kept, shown)


def _new(story: Story, moves: dict[str, tuple[Interval | None, Interval]]) -> Iterator[Claim]:
    for name, before, after in re.findall(rf"(\S+): ({NUMBER}) → ({NUMBER})", "\n".join(story.parts["4"])):
        yield Claim(f"{name} before", printed(before), story.params[name])
        if name in moves:
            kept, step = moves[name]
            yield Claim(f"{name}: {before} → {after}", printed(after), (kept or printed(before)) - step)


def _helped(story: Story) -> Iterator[Claim]:
    text = "\n".join(story.parts["5"])
    found = re.search(rf"L: ({NUMBER}) → ({NUMBER}) +change ({NUMBER})", text)
    assert found is not None, text
    before, after, change = (fixed(found[k]) for k in (1, 2, 3))
    yield Claim("change", change, after - before)
    found = re.search(rf"promised ({NUMBER}); the bend of the surface added ({NUMBER})", text)
    assert found is not None, text
    promise, bend = fixed(found[1]), fixed(found[2])
    rest = re.search(rf"more than a parabola made ({NUMBER})", text)
    if rest or abs(change.middle) > 1e-12 * abs(before.middle):
        total = promise + bend + (fixed(rest[1]) if rest else Interval(-change.half, change.half))
        yield Claim("promise + bend + rest", change, total)

"""The known word most like a mistyped one: names of columns, functions, data sets, flags, solvers and options.

Edit distance: Damerau–Levenshtein in its restricted form (Wagner and Fischer 1974, with adjacent swaps).
"""

from __future__ import annotations

from collections.abc import Iterable


def distance(a: str, b: str, limit: int) -> int:
    """How many insertions, deletions, replacements and swaps of neighbours part two words; ``limit + 1`` if more."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, p in enumerate(a, 1):
        above, row, swapped = row, [i], before
        for j, q in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (p != q))
            if i > 1 and j > 1 and p == b[j - 2] and a[i - 2] == q:
                cost = min(cost, swapped[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before = above
    return min(row[-1], limit + 1)


def nearest(name: str, names: Iterable[str], limit: int | None = None) -> str | None:
    """The name most like ``name``: equal up to case, else within ``limit`` edits; ``None`` if none is.

    Parameters
    ----------
    name : str
        The name that is not there.
    names : iterable of str
        The names that are.
    limit : int, optional
        How many edits may part them; 2 by default, and of short names one for every three letters: a name of one or two
        is near nothing but itself in the other case, since every such name is.

    Returns
    -------
    str or None
        One of ``names``.

    Example
    -------
    >>> nearest("rate", ["Temp", "Rate"]), nearest("tutorail", ["tutorial"]), nearest("a", ["b"])
    ('Rate', 'tutorial', None)
    """
    folded = name.casefold()
    best, edits = None, (min(2, len(name) // 3) if limit is None else limit) + 1
    for other in names:
        if other.casefold() == folded:
            return other
        apart = distance(folded, other.casefold(), edits - 1)
        if apart < edits:
            best, edits = other, apart
    return best

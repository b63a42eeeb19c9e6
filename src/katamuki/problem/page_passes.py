"""Two things of a Parquet page that are compiled, because there are so many of them: its header, and packed places.

The header stands in Thrift's compact protocol; places in a dictionary are runs of equal ones, or packed bit by bit.
Bytes are read out of whole numbers of eight bytes. The bytes are a stranger's: every length in them is compared with
what is left before it is multiplied or added to. Sources: Apache Parquet, ``parquet.thrift`` and "Encodings".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of, function, inline
from katamuki.problem.snappy import SPARE, byte_at
from katamuki.records import Array

DEEP = 8  # structs within structs, at most
ENDS = 8 + DEEP  # numbers that ``header_pass`` writes, and room for its place in each struct
PACKED = 1


@inline
def varint(words, at, last):  # type: ignore[no-untyped-def]
    """A whole number of seven bits a byte, and where it ends; −1 where the bytes end before it does."""
    value = 0
    shift = 0
    while at < last and shift < 63:
        byte = byte_at(words, at)
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
    return value, -1


@inline
def signed(value):  # type: ignore[no-untyped-def]
    """A whole number with a sign out of one without (zigzag)."""
    return (value >> 1) ^ -(value & 1)


@inline
def of_data(out, page, number, value):  # type: ignore[no-untyped-def]
    """Keep a whole number of the struct about a page's data; ``page`` 8: of version 2."""
    if number == 1:
        out[3] = value
    elif (number == 2 and page != 8) or (number == 4 and page == 8):
        out[4] = value
    elif page == 8 and 5 <= number <= 6:
        out[5] += value


@inline
def header(words, first, last, out, marks):  # type: ignore[no-untyped-def]
    """A page's header from the bytes ``first`` to ``last``: ``out`` = type, bytes after and before decompression, how
    many values, encoding, bytes of levels before the values, whether they are compressed, bytes of the header.

    0 if it was read, 1 if there is something in it that no header has, 2 if the bytes end too early.
    """
    for k in range(8):
        out[k] = 0
    out[0] = -1
    out[4] = -1
    out[6] = 1
    depth = 0
    marks[0] = 0
    at = first
    while True:
        if at >= last:
            return 2
        head = byte_at(words, at)
        at += 1
        if head == 0:
            if depth == 0:
                break
            depth -= 1
            continue
        kind = head & 15
        value = 0
        if head >> 4 > 0:
            marks[depth] += head >> 4
        else:
            value, at = varint(words, at, last)
            if at < 0:
                return 2
            marks[depth] = signed(value)
        if kind == 4 or kind == 5 or kind == 6 or kind == 8:  # noqa: PLR1714  compiled
            value, at = varint(words, at, last)
            if at < 0 or (kind == 8 and value > last - at):
                return 2
        number = marks[depth]
        if kind == 1 or kind == 2:  # noqa: PLR1714
            if depth == 1 and marks[0] == 8 and number == 7 and kind == 2:
                out[6] = 0
        elif kind == 3:
            at += 1
        elif kind == 7:
            at += 8
        elif kind == 8:
            at += value
        elif kind == 12:
            depth += 1
            if depth >= 8:
                return 1
            marks[depth] = 0
        elif 4 <= kind <= 6:
            whole = signed(value)
            if depth == 0 and 1 <= number <= 3:
                out[number - 1] = whole
            elif depth == 1:
                of_data(out, marks[0], number, whole)
        else:
            return 1
    out[7] = at - first
    if out[1] < 0 or out[2] < 0 or out[3] < 0 or out[5] < 0 or out[5] > out[2]:
        return 1
    return 0


@function("int64(int64*, int64, int64, int64*, int64*)")
def header_pass(words, first, last, out, marks):  # type: ignore[no-untyped-def]
    """:func:`header` by itself."""
    return header(words, first, last, out, marks)


@inline
def gathered(words, first, last, width, dictionary, count, out, n):  # type: ignore[no-untyped-def]
    """``out[i]`` = ``dictionary[place i]`` for n places of ``width`` bits in the bytes from ``first`` to ``last``.

    ``words`` are the page's bytes as whole numbers of 8 bytes. 0 if all could be read, 1 if a place is beyond the
    dictionary, 2 if the bytes end too early.
    """
    if count < 1 or width > 32:
        return 1
    if width == 0:
        value = dictionary[0]
        for k in range(n):
            out[k] = value
        return 0
    done = 0
    at = first
    mask = (1 << width) - 1
    bytes_wide = (width + 7) // 8
    while done < n:
        head, at = varint(words, at, last)
        if at < 0:
            return 2
        if head & 1 == 0:
            run = min(head >> 1, n - done)
            if at + bytes_wide > last:
                return 2
            place = 0
            for k in range(bytes_wide):
                place |= byte_at(words, at + k) << (8 * k)
            at += bytes_wide
            if place >= count:
                return 1
            value = dictionary[place]
            for k in range(run):
                out[done + k] = value
            done += run
            continue
        groups = min(head >> 1, (n - done + 7) // 8)
        run = min(groups * 8, n - done)
        if at + (run * width + 7) // 8 > last:
            return 2
        bit = at * 8
        worst = 0
        for k in range(run):
            word = bit >> 6
            inside = bit & 63
            low = (words[word] >> inside) & (((1 << (63 - inside)) << 1) - 1)
            place = (low | ((words[word + 1] << (63 - inside)) << 1)) & mask
            worst = max(worst, place)
            out[done + k] = dictionary[min(place, count - 1)]
            bit += width
        if worst >= count:
            return 1
        at += groups * width
        done += run
    return 0


@function("int64(int64*, int64, int64, int64, double*, int64, double*, int64)")
def gather_pass(words, first, last, width, dictionary, count, out, n):  # type: ignore[no-untyped-def]
    """:func:`gathered` by itself."""
    return gathered(words, first, last, width, dictionary, count, out, n)


def gather(body: NDArray[np.uint8], offset: int, dictionary: Array, out: Array) -> bool:
    """Fill ``out`` (n,) from a page's bytes: at ``offset`` the width in bits, then the places; whether all are there.

    Example
    -------
    >>> page = np.array([2, 3, 0b11100100, 0b00011011, 8, 1], np.uint8)  # 2 bits: eight places, then 4 times place 1
    >>> out = np.empty(12)
    >>> gather(page, 0, np.array([0.5, 1.5, 2.5, 3.5]), out), out.tolist()[:8:2], out.tolist()[8:]
    (True, [0.5, 2.5, 3.5, 1.5], [1.5, 1.5, 1.5, 1.5])
    """
    if offset >= len(body):
        return False
    width = int(body[offset])
    words: Any = np.zeros((len(body) + SPARE) // 8 + 1, np.int64)
    words.view(np.uint8)[: len(body)] = body
    place = (address_of(words), offset + 1, len(body), width)
    return gather_pass(*place, address_of(dictionary), len(dictionary), address_of(out), len(out)) == 0

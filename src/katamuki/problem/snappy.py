"""Snappy, which most Parquet files are compressed with, read out of whole numbers and written into such.

A body is the length that it unpacks to, then elements: bytes as they are, or bytes that stood before, by how far back.
Memory is read and written eight bytes at a time, at bytes of any place, so that bytes behind an end are overwritten:
rooms have ``SPARE`` bytes more than they hold. The bytes are a stranger's: every length and every distance is compared
with what there is before it is used. Source: Snappy's ``format_description.txt`` (2011).
"""

from __future__ import annotations

from katamuki.backends.native import inline

SPARE = 16  # bytes behind what is read or written that may be touched, too
MOST = 2**63 - 1
SHORT = 64  # bytes below which setting a loop up costs more than it saves


@inline
def byte_at(words, at):  # type: ignore[no-untyped-def]
    """One of the bytes that whole numbers hold."""
    return (words[at >> 3] >> ((at & 7) * 8)) & 255


@inline
def word_at(words, at):  # type: ignore[no-untyped-def]
    """The eight bytes from a place on."""
    w = at >> 3
    low = (at & 7) * 8
    high = 63 - low
    return ((words[w] >> low) & (((1 << high) << 1) - 1)) | ((words[w + 1] << high) << 1)


@inline
def put_word(words, at, value):  # type: ignore[no-untyped-def]
    """Write eight bytes from a place on; those before it stay, up to eight behind them may not."""
    w = at >> 3
    low = (at & 7) * 8
    words[w] = (words[w] & ((1 << low) - 1)) | (value << low)
    words[w + 1] = ((value >> 1) & MOST) >> (63 - low)


@inline
def shifted(out, first, words, at, count):  # type: ignore[no-untyped-def]
    """``out[first + k]`` = the k-th eight bytes from a place on."""
    w = at >> 3
    low = (at & 7) * 8
    if low == 0:
        for k in range(count):
            out[first + k] = words[w + k]
    else:
        high = 64 - low
        kept = (1 << high) - 1
        for k in range(count):
            out[first + k] = ((words[w + k] >> low) & kept) | (words[w + k + 1] << high)


@inline
def carry(out, to, words, at, count):  # type: ignore[no-untyped-def]
    """Copy bytes from one memory to another."""
    if count < SHORT:
        k = 0
        while k < count:
            put_word(out, to + k, word_at(words, at + k))
            k += 8
    else:
        head = (8 - (to & 7)) & 7  # up to where a whole number begins
        if head > 0:
            put_word(out, to, word_at(words, at))
        shifted(out, (to + head) >> 3, words, at + head, (count - head + 7) >> 3)


@inline
def repeat(out, to, back, count):  # type: ignore[no-untyped-def]
    """Copy bytes that stand ``back`` bytes before, some of which this may write itself."""
    if back >= 8:
        k = 8 - (to & 7)
        put_word(out, to, word_at(out, to - back))
        low = ((to + k - back) & 7) * 8
        high = 63 - low
        kept = ((1 << high) << 1) - 1
        w = (to + k) >> 3
        v = (to + k - back) >> 3
        while k < count:
            out[w] = ((out[v] >> low) & kept) | ((out[v + 1] << high) << 1)
            w += 1
            v += 1
            k += 8
    else:
        word = word_at(out, to - back) & ((1 << (8 * back)) - 1)
        step = back
        while step < 8:  # the same bytes twice as often
            word = word | (word << (8 * step))
            step += step
        step = 8 - 8 % back
        k = 0
        while k < count:
            put_word(out, to + k, word)
            k += step


@inline
def unpack(words, at, last, out, first, size):  # type: ignore[no-untyped-def]
    """Unpack the bytes from ``at`` to ``last`` into ``out``, from byte ``first`` on; 0 if they are ``size`` then."""
    told = 0
    shift = 0
    byte = 128
    while byte >= 128:
        if at >= last or shift > 28:
            return 1
        byte = byte_at(words, at)
        at += 1
        told |= (byte & 127) << shift
        shift += 7
    if told != size:
        return 1
    to = first
    end = first + size
    while at < last:
        word = word_at(words, at)
        kind = word & 3
        count = ((word >> 2) & 63) + 1
        if kind == 0:
            at += 1
            more = max(count - 60, 0)  # bytes that hold the length
            if more > 0:
                count = ((word >> 8) & ((1 << (8 * more)) - 1)) + 1
                at += more
            if count > last - at or count > end - to:
                return 1
            if count + more < 8:
                put_word(out, to, word >> (8 + 8 * more))
            else:
                carry(out, to, words, at, count)
            at += count
        else:
            back = (word >> 8) & 65535
            width = 3
            if kind == 1:
                count = ((word >> 2) & 7) + 4
                back = ((word & 224) << 3) | (back & 255)
                width = 2
            if kind == 3:
                back = (word >> 8) & 4294967295
                width = 5
            at += width
            if at > last or back < 1 or back > to - first or count > end - to:
                return 1
            repeat(out, to, back, count)
        to += count
    if to != end:
        return 1
    return 0

"""From page to page of a column chunk in compiled code, so that the interpreter is asked once for many pages.

What it knows are pages of doubles that stand as they are or as places in a dictionary, plain or packed by Snappy, and
such dictionaries. Whatever else it meets, and every page that is not what it should be, it leaves where it is.
"""

from __future__ import annotations

from katamuki.backends.native import at, function, inline
from katamuki.problem.page_passes import ENDS, gathered, header, varint
from katamuki.problem.snappy import byte_at, shifted, unpack, word_at

# What a walk keeps, by place. In the window: where the next page begins, and where what was read ends.
AT, LAST = 0, 1
LEFT = 2  # values of the chunk that no page has had yet
HAVE, BYTE, WHERE = 3, 4, 5  # values of the present page that are left; where the next one stands, in which memory
DONE, NEED = 6, 7  # values that are written; bytes that are wanted
ROOM = 8  # bytes for which there is room in each of the memories, by its number below
COUNT, CODEC, LEVELS = 12, 13, 14  # values of the dictionary; how pages are packed; whether levels stand before values
HEAD, MARKS = 16, 24  # a page's header, and its places in structs
AWAY = HEAD + ENDS  # how many numbers the memories are away from where the columns' states begin
STATE = AWAY + 5
# Memories: the file, a page, the dictionary, a page out of the dictionary, and where the values go.
WINDOW, UNPACKED, BOOK, PLACED, OUT = 0, 1, 2, 3, 4
PLAIN, SNAPPY, OTHER = 0, 1, 2  # codecs
# How it ends: all values are there; more of the file is wanted, or room in a memory (+ its number); an unknown page.
FULL, MORE, ROOMIER, UNKNOWN, ENDINGS = 0, 1, 2, 6, 8
VALUES, BYTES = 1 << 26, 1 << 31  # in a page, at most: larger ones are left to pyarrow
DATA, DICTIONARY_PAGE, DATA_2 = 0, 2, 3  # types of pages
AS_THEY_ARE, BY_PLACES, BY_PLACES_2 = 0, 2, 8  # encodings
SMALLEST = 32  # Snappy packs no byte into less than one of so many


@inline
def short_of(state, memory, size):  # type: ignore[no-untyped-def]
    """0 where a memory has room for so many bytes."""
    if size <= state[ROOM + memory]:
        return 0
    state[NEED] = size
    return ROOMIER + memory


@inline
def book_page(words, begin, end, packed, size, book, state):  # type: ignore[no-untyped-def]
    """The dictionary: 0, or what is wanted first."""
    count = state[HEAD + 3]
    if size != 8 * count or (state[HEAD + 4] != AS_THEY_ARE and state[HEAD + 4] != BY_PLACES):
        return UNKNOWN
    status = short_of(state, BOOK, size)
    if status != 0:
        return status
    if packed:
        if unpack(words, begin, end, book, 0, size) != 0:
            return UNKNOWN
    else:
        shifted(book, 0, words, begin, count)
    state[COUNT] = count
    return 0


@inline
def values_page(body, begin, end, where, book, placed, out, wanted, state):  # type: ignore[no-untyped-def]
    """The values of a page that stands unpacked in a memory: 0, or what is wanted first."""
    values = state[HEAD + 3]
    encoding = state[HEAD + 4]
    if state[LEVELS] == 1 and state[HEAD] == DATA:
        if end - begin < 4:
            return UNKNOWN
        begin += 4 + (word_at(body, begin) & 4294967295)
    if begin >= end:
        return UNKNOWN
    if encoding == AS_THEY_ARE:
        if values > (end - begin) >> 3:
            return UNKNOWN
        state[BYTE] = begin
        state[WHERE] = where
        state[HAVE] = values
        return 0
    if encoding != BY_PLACES and encoding != BY_PLACES_2:  # noqa: PLR1714  compiled
        return UNKNOWN
    width = byte_at(body, begin)
    done = state[DONE]
    if values <= wanted - done:  # all of them go where they are to be
        if gathered(body, begin + 1, end, width, book, state[COUNT], at(out, done), values) != 0:
            return UNKNOWN
        state[DONE] = done + values
        return 0
    status = short_of(state, PLACED, 8 * values)
    if status != 0:
        return status
    if gathered(body, begin + 1, end, width, book, state[COUNT], placed, values) != 0:
        return UNKNOWN
    state[BYTE] = 0
    state[WHERE] = PLACED
    state[HAVE] = values
    return 0


@inline
def before_values(words, begin, end, levels):  # type: ignore[no-untyped-def]
    """Bytes before the values of a packed page, which its first four tell; −1 where these are not at its beginning."""
    if levels == 0:
        return 0
    _, begin = varint(words, begin, end)
    if begin < 0 or end - begin < 9:
        return -1
    tag = byte_at(words, begin)
    begin += max((tag >> 2) - 58, 1)
    return 4 + (word_at(words, begin) & 4294967295) if tag & 3 == 0 else -1


@inline
def unpack_values(words, begin, end, size, before, out, state):  # type: ignore[no-untyped-def]
    """A packed page whose values go where they are to be; what stands before them is overwritten, and mended."""
    done = state[DONE]
    values = state[HEAD + 3]
    kept = out[done - 1]
    status = unpack(words, begin, end, out, 8 * done - before, size)
    if before > 0 and (word_at(out, 8 * done - before) & 4294967295) != before - 4:
        status = 1
    out[done - 1] = kept
    if status != 0:
        return UNKNOWN
    state[DONE] = done + values
    return 0


@inline
def next_page(words, unpacked, book, placed, out, wanted, state):  # type: ignore[no-untyped-def]
    """Begin the page at the cursor: 0, or what is wanted first."""
    head = at(state, HEAD)
    status = header(words, state[AT], state[LAST], head, at(state, MARKS))
    if status == 2:
        state[NEED] = 0
        return MORE
    kind, size, stored, values, levels = head[0], head[1], head[2], head[3], head[5]
    if status != 0 or size > BYTES or stored > BYTES or values < 1 or values > VALUES or levels > stored:
        return UNKNOWN
    if head[7] + stored > state[LAST] - state[AT]:
        state[NEED] = head[7] + stored
        return MORE
    begin = state[AT] + head[7] + levels
    end = begin - levels + stored
    size -= levels
    packed = head[6] == 1 and state[CODEC] != PLAIN
    if packed:
        if state[CODEC] != SNAPPY or size > SMALLEST * stored:
            return UNKNOWN
    elif size != end - begin:
        return UNKNOWN
    if kind == DICTIONARY_PAGE:
        status = book_page(words, begin, end, packed, size, book, state)
    elif values > state[LEFT] or (kind != DATA and kind != DATA_2):  # noqa: PLR1714  compiled
        status = UNKNOWN
    elif packed:
        before = -1
        if head[4] == AS_THEY_ARE and values <= wanted - state[DONE]:
            before = before_values(words, begin, end, 1 if state[LEVELS] == 1 and kind == DATA else 0)
        status = 0
        if 0 <= before <= 8 and size == before + 8 * values:
            status = unpack_values(words, begin, end, size, before, out, state)
        else:
            status = short_of(state, UNPACKED, size)
            if status == 0:
                status = UNKNOWN
                if unpack(words, begin, end, unpacked, 0, size) == 0:
                    status = values_page(unpacked, 0, size, UNPACKED, book, placed, out, wanted, state)
    else:
        status = values_page(words, begin, end, WINDOW, book, placed, out, wanted, state)
    if status == 0:
        state[AT] = end
        if kind != DICTIONARY_PAGE:
            state[LEFT] -= values
    return status


@inline
def walk(words, unpacked, book, placed, out, wanted, state):  # type: ignore[no-untyped-def]
    """Fill ``out`` up to ``wanted`` values, of pages in ``words``; how it ends stands above.

    ``out`` has eight numbers before it and two behind it that this may write to; those before it are as they were in
    the end. The other memories are for one page, the dictionary, and one page whose values were looked up in there.
    Values are copied as whole numbers, bit by bit.
    """
    while True:
        done = state[DONE]
        begin = state[BYTE]
        count = min(state[HAVE], wanted - done)
        if count > 0:
            if state[WHERE] == WINDOW:
                shifted(out, done, words, begin, count)
            elif state[WHERE] == UNPACKED:
                shifted(out, done, unpacked, begin, count)
            else:
                shifted(out, done, placed, begin, count)
            state[HAVE] -= count
            state[BYTE] = begin + 8 * count
            state[DONE] = done + count
        if state[DONE] >= wanted:
            return FULL
        status = next_page(words, unpacked, book, placed, out, wanted, state)
        if status != FULL:
            return status


@function("int64(int64*, int64, int64)")
def walk_all(states, count, wanted):  # type: ignore[no-untyped-def]
    """:func:`walk` for ``count`` columns; 0, or ``ENDINGS`` times the column that ended otherwise, plus how it did."""
    for k in range(count):
        state = at(states, k * STATE)
        words = at(states, state[AWAY + WINDOW])
        unpacked = at(states, state[AWAY + UNPACKED])
        book = at(states, state[AWAY + BOOK])
        placed = at(states, state[AWAY + PLACED])
        out = at(states, state[AWAY + OUT])
        status = walk(words, unpacked, book, placed, out, wanted, state)
        if status != FULL:
            return k * ENDINGS + status
    return FULL

"""Columns of doubles of a Parquet file, read without a detour: what passes over many rows would spend their time on.

A column chunk is a sequence of pages, each behind a header in Thrift's compact protocol. Doubles without a missing
value stand in a page as they are, or as places in a dictionary, perhaps compressed; the levels before them say nothing
then and are skipped. Compiled code walks through all pages of a batch that stand as they are or are packed by Snappy;
pages packed otherwise are taken one by one, and unpacked by pyarrow. Whatever is of another kind (other types, missing
values, nested columns, encryption, encodings that are not named here) is left to pyarrow. Sources: Apache Parquet's
format 2.10 and ``parquet.thrift``; the Thrift compact protocol.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.data.parts import UnknownPageError
from katamuki.problem.page_passes import PACKED, gather, header_pass
from katamuki.problem.page_walk import (
    AS_THEY_ARE,
    AT,
    AWAY,
    BOOK,
    BY_PLACES,
    BY_PLACES_2,
    BYTES,
    CODEC,
    COUNT,
    DATA,
    DATA_2,
    DICTIONARY_PAGE,
    DONE,
    ENDINGS,
    HAVE,
    HEAD,
    LAST,
    LEFT,
    LEVELS,
    NEED,
    OTHER,
    OUT,
    PLAIN,
    ROOM,
    ROOMIER,
    SNAPPY,
    STATE,
    UNKNOWN,
    VALUES,
    WHERE,
    WINDOW,
    walk_all,
)
from katamuki.problem.rooms import PAGE, Rooms, aligned
from katamuki.problem.snappy import SPARE
from katamuki.records import Array

READ = 1 << 16  # bytes of a column that are read at once, at least
SIZES = (1 << 19, 1 << 22, 1 << 25)  # bytes in which a header must end: it may hold the least and largest value
DICTIONARY = frozenset({BY_PLACES, BY_PLACES_2})
NOTHING = np.empty(0, np.uint8)
KNOWN = frozenset({"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "BIT_PACKED"})
CODECS = {
    "UNCOMPRESSED": None,
    "SNAPPY": "snappy",
    "ZSTD": "zstd",
    "GZIP": "gzip",
    "BROTLI": "brotli",
    "LZ4": "lz4_raw",
}
WALKED = {None: PLAIN, "snappy": SNAPPY}


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column of a row group: where it begins and ends in the file, how it is compressed, whether it has levels."""

    first: int
    last: int
    codec: str | None
    values: int
    levels: bool


def doubles(
    path: Path, metadata: Any, group: int, names: Sequence[str], rows: int, rooms: Rooms | None = None
) -> Iterator[list[Array]] | None:
    """Columns of a row group, ``rows`` rows at a time; None where one is of a kind that is left to pyarrow.

    ``rooms`` are arrays of earlier row groups, to be used again.

    Raises
    ------
    UnknownPageError
        On the way, where a page is not what the file's metadata say: pyarrow knows it, or what is wrong with it.
    """
    if not hasattr(os, "pread"):
        return None
    places = {metadata.schema.column(j).path: j for j in range(metadata.num_columns)}
    chunks = [_chunk(metadata, group, places[name]) for name in names if name in places]
    if len(chunks) != len(names) or None in chunks:
        return None
    return _batches(path, [one for one in chunks if one is not None], rows, rooms or Rooms())


def _chunk(metadata: Any, group: int, place: int) -> Chunk | None:
    column, kind = metadata.row_group(group).column(place), metadata.schema.column(place)
    seen = column.statistics
    usable = (
        column.physical_type == "DOUBLE"
        and kind.max_repetition_level == 0
        and kind.max_definition_level <= 1
        and (kind.max_definition_level == 0 or (seen is not None and seen.has_null_count and seen.null_count == 0))
        and column.compression in CODECS
        and set(column.encodings) <= KNOWN
        and not column.file_path
    )
    if not usable:
        return None
    first = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset:
        first = min(first, column.dictionary_page_offset)
    last = first + column.total_compressed_size
    return Chunk(first, last, CODECS[column.compression], column.num_values, kind.max_definition_level > 0)


def _batches(path: Path, chunks: Sequence[Chunk], rows: int, rooms: Rooms) -> Iterator[list[Array]]:
    file = os.open(path, os.O_RDONLY)
    try:
        left = chunks[0].values
        if any(one.values != left for one in chunks):
            raise UnknownPageError(left)
        end = os.fstat(file).st_size
        if any(not 0 <= one.first <= one.last <= end for one in chunks):
            raise UnknownPageError(end)
        cursors = [rooms.cursors.pop() if rooms.cursors else _Cursor(rooms) for _ in chunks]
        states = np.zeros((len(chunks), STATE), np.int64)
        for cursor, chunk, state in zip(cursors, chunks, states, strict=True):
            cursor.begin(file, chunk, state, address_of(states))
        where = address_of(states)
        while left > 0:
            m = min(rows, left)
            found = [one.room(m) for one in cursors]
            while ended := walk_all(where, len(cursors), m):
                k, how = divmod(ended, ENDINGS)
                cursors[k].go_on(how, found[k])
            yield found
            del found  # so that its arrays are used again
            left -= m
        rooms.cursors += cursors
    finally:
        os.close(file)


class _Cursor:
    """A place in the pages of one column chunk after the other, and the memories that a walk from there needs.

    The window holds what was read of the file, from ``begins`` to before ``ends``, each byte as far from the beginning
    of a page of memory as it is in the file: some processors copy several times as fast then.
    """

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.kept = [np.empty(1)] * 4  # the memories, and for how many bytes there is room in them
        self.sizes = [0] * 4
        self.begin(-1, Chunk(0, 0, None, 1, False), np.zeros(STATE, np.int64), 0)
        self._widen(WINDOW, READ)

    def begin(self, file: int, chunk: Chunk, state: NDArray[np.int64], origin: int) -> None:
        """Go to the first page of a column chunk. The states of a walk begin at ``origin``; this is the column's."""
        self.file, self.chunk, self.state, self.origin = file, chunk, state, origin
        self.begins = self.ends = 0
        self.page = NOTHING  # what is left of a page that was not walked, as bytes: doubles may stand at odd places
        self.codec: Any = None
        state[[AT, LEFT, CODEC, LEVELS]] = chunk.first, chunk.values, WALKED.get(chunk.codec, OTHER), chunk.levels
        state[ROOM : ROOM + 4] = self.sizes
        state[AWAY : AWAY + 4] = [(address_of(one) - origin) // 8 for one in self.kept]

    def room(self, count: int) -> Array:
        """An array (count,) for the next values, and in the window what they need if all pages are alike."""
        state = self.state
        out = self.rooms.take(count + 16)[8 : 8 + count]  # a walk needs room on both sides
        state[AWAY + OUT], state[DONE] = (address_of(out) - self.origin) // 8, 0
        if len(self.page):
            self._hand_out(out)
        elif not state[HAVE] or state[WHERE] != WINDOW:
            place, chunk = self.begins + int(state[AT]), self.chunk
            share = min((chunk.last - chunk.first) * count // chunk.values, 16 * count + SIZES[0])
            if place + share + share // 8 > self.ends:
                self._fill(place, min(share + share // 8, chunk.last - place))
        return out

    def go_on(self, ended: int, out: Array) -> None:
        """Do what a walk needs that did not fill ``out``."""
        size, have = int(self.state[NEED]), int(self.state[LAST] - self.state[AT])
        if ROOMIER <= ended < UNKNOWN:
            self._widen(ended - ROOMIER, size)
        elif ended == UNKNOWN or not self._more(size, max(have, 0)):
            self._next()
            self._hand_out(out)
            while self.state[CODEC] == OTHER and self.state[DONE] < len(out):  # nor will a walk know the next page
                self._next()
                self._hand_out(out)

    def _hand_out(self, out: Array) -> None:
        """Copy what is left of a page that was not walked, as far as there is room."""
        done = int(self.state[DONE])
        m = min(8 * (len(out) - done), len(self.page))
        out.view(np.uint8)[8 * done : 8 * done + m] = self.page[:m]
        self.page = self.page[m:] if m < len(self.page) else NOTHING  # so that its array can be used again
        self.state[DONE] = done + m // 8

    def _widen(self, memory: int, size: int) -> None:
        """Make room for so many bytes in a memory of a walk."""
        size = 1 << (size - 1).bit_length()  # so that few pages need another one
        whole = np.empty((size + PAGE + SPARE) // 8 + PAGE // 8)
        self.kept[memory] = room = aligned(whole, len(whole) - PAGE // 8)
        self.sizes[memory] = self.state[ROOM + memory] = size
        self.state[AWAY + memory] = (address_of(room) - self.origin) // 8
        if memory == WINDOW:
            self.window = memoryview(room).cast("B")  # type: ignore[arg-type]

    def _more(self, size: int, have: int) -> bool:
        """Whether more than the ``have`` bytes of a page are read into the window now: ``size``, if that is known."""
        place = self.begins + int(self.state[AT])
        left = self.chunk.last - place
        size = size or min(2 * have + READ, SIZES[0], left)
        if not have < size <= left:
            return False
        self._fill(place, size)
        return self.ends - place >= size

    def _unpacked(self, whole: Any, size: int) -> Any:
        """The bytes of a page after decompression; there must be exactly ``size``."""
        import pyarrow as pa

        if self.codec is None:
            self.codec = pa.Codec(self.chunk.codec)
        try:
            found = self.codec.decompress(whole, decompressed_size=size)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UnknownPageError(size) from error
        if not size or self.chunk.codec == "zstd":  # which compares the sizes itself
            return found
        if self.chunk.codec == "gzip":
            if bytes(whole[-4:]) == struct.pack("<I", size):
                return found
            raise UnknownPageError(size)
        if self.chunk.codec == "snappy":  # whose first bytes are the size
            if _first(whole) == size:
                return found
            raise UnknownPageError(size)
        with suppress(pa.ArrowException, OSError):  # what fits into one byte less leaves bytes that nobody wrote
            self.codec.decompress(whole, decompressed_size=size - 1)
            raise UnknownPageError(size)
        return found

    def _fill(self, place: int, size: int) -> int:
        """See that ``size`` bytes from a place in the file on stand in the window, if there are so many; from where."""
        if place < self.begins or place + size > self.ends:
            first, held, before = place - place % PAGE, max(self.ends - place, 0), self.window
            if size > self.sizes[WINDOW]:
                self._widen(WINDOW, size)
            at = place - first
            if held:  # the rest of what was read before
                self.window[at : at + held] = before[place - self.begins : self.ends - self.begins]
            read = os.preadv(self.file, [self.window[at + held : at + size]], place + held)
            self.begins, self.ends = first, place + held + read
            self.state[AT], self.state[LAST] = at, self.ends - first
        return place - self.begins

    def _header(self, place: int) -> list[int]:
        """The header at a place: type, sizes, values, encoding, levels, whether packed, its own length."""
        head = address_of(self.state) + 8 * HEAD
        for size in (1, *SIZES):  # as a rule it stands in the window
            at = self._fill(place, min(size, self.chunk.last - place))
            status = header_pass(address_of(self.kept[WINDOW]), at, self.ends - self.begins, head, head + 64)
            if status == 0:
                return self.state[HEAD : HEAD + 8].tolist()  # type: ignore[no-any-return]
            if status != 2 or self.ends >= self.chunk.last:
                break
        raise UnknownPageError(place)

    def _next(self) -> None:
        """The next page of values, whatever it is."""
        place = self.begins + int(self.state[AT])
        if place >= self.chunk.last:
            raise UnknownPageError(place)
        kind, size, stored, values, encoding, levels, packed, length = self._header(place)
        start = place + length
        if start + stored > self.chunk.last or kind not in (DATA, DICTIONARY_PAGE, DATA_2):
            raise UnknownPageError(start)
        at = self._fill(start, stored)
        if self.ends < start + stored or not levels <= size < BYTES or values > VALUES:
            raise UnknownPageError(start)
        self.state[AT] = at + stored
        whole: Any = self.window[at + levels : at + stored]
        if self.chunk.codec is not None and packed == PACKED:
            whole = self._unpacked(whole, size - levels)
        if kind == DICTIONARY_PAGE:
            if encoding not in (AS_THEY_ARE, BY_PLACES):
                raise UnknownPageError(encoding)
            self._widen(BOOK, max(8 * values, 1))
            self.kept[BOOK][:values].view(np.uint8)[:] = _doubles(whole, 0, values)
            self.state[COUNT] = values
            return
        self.state[LEFT] -= values
        offset = 4 if kind == DATA and self.chunk.levels else 0
        if self.state[LEFT] < 0 or len(whole) < offset:
            raise UnknownPageError(values)
        if offset:
            offset += struct.unpack_from("<I", whole)[0]
        if encoding == AS_THEY_ARE:
            self.page = _doubles(whole, offset, values)
            return
        if encoding not in DICTIONARY:
            raise UnknownPageError(encoding)
        page, dictionary = self.rooms.take(values), self.kept[BOOK][: self.state[COUNT]]
        if not gather(np.frombuffer(whole, np.uint8), offset, dictionary, page):
            raise UnknownPageError(encoding)
        self.page = page.view(np.uint8)


def _first(whole: Any) -> int:
    """The whole number, seven bits a byte, that some bytes begin with."""
    found = 0
    for k, byte in enumerate(whole[:5]):
        found |= (byte & 127) << (7 * k)
        if byte < 128:
            break
    return found


def _doubles(whole: Any, offset: int, count: int) -> NDArray[np.uint8]:
    """The bytes of so many doubles."""
    if len(whole) - offset < 8 * count:
        raise UnknownPageError(count)
    if not count:
        return NOTHING
    return np.frombuffer(whole, np.uint8, 8 * count, offset)

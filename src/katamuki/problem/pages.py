"""Columns of doubles of a Parquet file, read without a detour: what passes over many rows would spend their time on.

A column chunk is a sequence of pages, each behind a header in Thrift's compact protocol. Doubles without a missing
value stand in a page as they are, or as places in a dictionary, perhaps compressed; the levels before them say nothing
then and are skipped. Whatever is of another kind (other types, missing values, nested columns, encryption, encodings
that are not named here) is left to pyarrow, which decompresses here, too. Sources: Apache Parquet's format 2.10 and
``parquet.thrift``; the Thrift compact protocol.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from katamuki.backends.native import address_of
from katamuki.data.parts import UnknownPageError
from katamuki.problem.page_passes import ENDS, PACKED, gather, header_pass
from katamuki.problem.rooms import Rooms
from katamuki.records import Array

WINDOW = 1 << 19  # bytes of a column that are read at once
SIZES = (WINDOW, 1 << 22, 1 << 25)  # bytes in which a header must end: it may hold the least and largest value
PLAIN, DICTIONARY = 0, frozenset({2, 8})  # encodings: as they are; places in a dictionary
DATA, DICTIONARY_PAGE, DATA_2 = 0, 2, 3  # types of pages
VALUES, BYTES = 1 << 26, 1 << 31  # in a page, at most: larger ones are left to pyarrow
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
        columns = [_Column(file, one, rooms) for one in chunks]
        left = chunks[0].values
        if any(one.values != left for one in chunks):
            raise UnknownPageError(left)
        end = os.fstat(file).st_size
        if any(not 0 <= one.first <= one.last <= end for one in chunks):
            raise UnknownPageError(end)
        while left > 0:
            m = min(rows, left)
            yield [one.take(m) for one in columns]
            left -= m
    finally:
        os.close(file)


@cache
def _header_call() -> Any:
    """``header_pass`` for calls that are over before another thread would have been let in."""
    return header_pass.pointer(short=True)


class _Column:
    """A cursor in the pages of one column."""

    def __init__(self, file: int, chunk: Chunk, rooms: Rooms) -> None:
        self.file, self.chunk, self.rooms = file, chunk, rooms
        self.place = chunk.first
        self.left = chunk.values  # that no page has had yet
        self.begins = self.ends = 0  # of what stands in the window, in the file
        self._widen(WINDOW)
        self.dictionary: Array | None = None
        self.page = NOTHING  # what is left of the present page, as bytes: doubles may stand there at odd places
        self.head = np.empty(ENDS, np.int64)
        self.written = address_of(self.head), address_of(self.head) + 64  # the header, and places in its structs
        self.codec: Any = None
        if chunk.codec is not None:
            import pyarrow as pa

            self.codec = pa.Codec(chunk.codec)

    def take(self, count: int) -> Array:
        """The next values (count,)."""
        out, done = self.rooms.take(count), 0
        written = out.view(np.uint8)
        while done < len(written):
            if not len(self.page):
                self._next()
                continue
            m = min(len(written) - done, len(self.page))
            written[done : done + m] = self.page[:m]
            self.page = self.page[m:]
            done += m
        return out

    def _unpacked(self, whole: Any, size: int) -> Any:
        """The bytes of a page after decompression; there must be exactly ``size``."""
        import pyarrow as pa

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

    def _widen(self, size: int) -> None:
        """Make a window of so many bytes."""
        window: Any = self.rooms.take(size // 8 + 1)
        self.address = address_of(window)
        self.room = memoryview(window).cast("B")  # keeps it

    def _fill(self, place: int, size: int) -> int:
        """See that ``size`` bytes from a place in the file on stand in the window, if there are so many; from where."""
        if place < self.begins or place + size > self.ends:
            if size > len(self.room):
                self._widen(size)
            read = os.preadv(self.file, [self.room[: self.chunk.last - place]], place)
            self.begins, self.ends = place, place + read
        return place - self.begins

    def _header(self) -> list[int]:
        """The header at the cursor: type, sizes, values, encoding, levels, whether packed, its own length."""
        if self.begins <= self.place < self.ends:  # as a rule it stands there
            place, last = self.place - self.begins, self.ends - self.begins
            if _header_call()(self.address, place, last, *self.written) == 0:
                return self.head[:8].tolist()  # type: ignore[no-any-return]
        for size in SIZES:
            self.ends = self.begins
            at = self._fill(self.place, min(size, self.chunk.last - self.place))
            status = _header_call()(self.address, at, self.ends - self.begins, *self.written)
            if status == 0:
                return self.head[:8].tolist()  # type: ignore[no-any-return]
            if status != 2 or self.ends >= self.chunk.last:
                break
        raise UnknownPageError(self.place)

    def _next(self) -> None:
        """The next page of values."""
        self.page = NOTHING  # so that its array can be used again
        if self.place >= self.chunk.last:
            raise UnknownPageError(self.place)
        kind, size, stored, values, encoding, levels, packed, length = self._header()
        start = self.place + length
        self.place = start + stored
        if self.place > self.chunk.last or kind not in (DATA, DICTIONARY_PAGE, DATA_2):
            raise UnknownPageError(start)
        at = self._fill(start, stored)
        if self.ends < self.place or not levels <= size < BYTES or values > VALUES:
            raise UnknownPageError(start)
        whole: Any = self.room[at + levels : at + stored]
        if self.codec is not None and packed == PACKED:
            whole = self._unpacked(whole, size - levels)
        if kind == DICTIONARY_PAGE:
            if encoding not in (PLAIN, 2):
                raise UnknownPageError(encoding)
            self.dictionary = np.frombuffer(_doubles(whole, 0, values).tobytes())  # the window moves on
            return
        self.left -= values
        offset = 4 if kind == DATA and self.chunk.levels else 0
        if self.left < 0 or len(whole) < offset:
            raise UnknownPageError(values)
        if offset:
            offset += struct.unpack_from("<I", whole)[0]
        if encoding == PLAIN:
            self.page = _doubles(whole, offset, values)
            return
        if encoding not in DICTIONARY or self.dictionary is None:
            raise UnknownPageError(encoding)
        page = self.rooms.take(values)
        if not gather(np.frombuffer(whole, np.uint8), offset, self.dictionary, page):
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

"""CSV, TSV and their kin: rows of text, read so that a wrong cell is named by row and column.

Small files are read whole by Python's ``csv`` module. Large ones are read by Arrow's parser, only the columns that are
used; where it objects to anything, the careful reader reads the file again and says what and where. Both give the
same numbers, which a test holds.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from katamuki.data import layout as layouts
from katamuki.data.cells import EXACT, Cells, shown
from katamuki.data.layout import Layout
from katamuki.data.names import Place, some
from katamuki.errors import DataError

LARGE = 1 << 21  # bytes from which Arrow reads: its import costs as much as reading this
NULLS = ["", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None", "na", "n/a"]


class TextFile:
    """A table of text: its layout, found at once, and its columns, read when asked for.

    ``body`` is a path, or the bytes themselves, UTF-8 without a byte order mark.
    """

    def __init__(
        self, body: Path | bytes, place: Place, separator: str | None, decimal: str | None, header: bool | None
    ) -> None:
        self.body, self.place = body, place
        with self._open() as stream:
            beginning = stream.read(layouts.SAMPLE)
        self.size = body.stat().st_size if isinstance(body, Path) else len(body)
        self.skip = len(codecs.BOM_UTF8) if beginning.startswith(codecs.BOM_UTF8) else 0
        sample = beginning[self.skip :].decode("utf-8", "surrogateescape")
        if "\0" in sample:
            raise DataError("E-FORMAT", "data.binary", place=place)
        whole = self.size <= len(beginning)
        if not whole:
            sample = sample[: sample.rfind("\n") + 1] or sample
        self.layout: Layout = layouts.find(sample, whole, separator, decimal, header, place)
        self.names = self.layout.names
        self.count: int | None = None
        self._cells: dict[int, list[str]] | None = None

    def _open(self) -> IO[bytes]:
        return self.body.open("rb") if isinstance(self.body, Path) else io.BytesIO(self.body)

    def fetch(self, places: Sequence[int], text: Iterable[int] = ()) -> dict[int, Any]:
        """Columns by position: arrays of float64, or cells where Arrow did not read them or ``text`` asks for cells."""
        words = set(text)
        if self.size > LARGE and self._cells is None and self.layout.separator not in (None, " ", self.layout.likely):
            found = self._fast(places, words)
            if found is not None:
                return found
        cells = self._careful(places)
        return {k: Cells(cells[k], self.first_bad) for k in places}

    def _options(self, places: Sequence[int], words: set[int]) -> tuple[dict[str, Any], set[str]]:
        """How Arrow is told to read some columns, named by their places, and which of them as text."""
        import pyarrow as pa
        import pyarrow.csv

        labels = [str(k) for k in range(len(self.names))]
        wanted = [labels[k] for k in places] or labels[:1]
        as_text = {labels[k] for k in places if k in words or not self.layout.numeric[k]}
        convert = pyarrow.csv.ConvertOptions(
            include_columns=wanted,
            column_types={name: pa.string() if name in as_text else pa.float64() for name in wanted},
            null_values=NULLS,
            strings_can_be_null=False,
            decimal_point=self.layout.likely,
            check_utf8=False,
        )
        parse = pyarrow.csv.ParseOptions(
            delimiter=self.layout.separator, newlines_in_values=True, ignore_empty_lines=True
        )
        read = {"column_names": labels}
        return {"read_options": read, "parse_options": parse, "convert_options": convert}, as_text

    def _opened(self) -> Any:
        """The body for Arrow, after the header."""
        import pyarrow as pa

        file = pa.memory_map(str(self.body)) if isinstance(self.body, Path) else pa.BufferReader(self.body)
        file.seek(self.layout.start + self.skip)
        return file

    def _fast(self, places: Sequence[int], words: set[int]) -> dict[int, Any] | None:
        """What Arrow reads, or None where it objects: the careful reader then says why, or knows better."""
        import pyarrow as pa
        import pyarrow.csv

        options, as_text = self._options(places, words)
        options["read_options"] = pyarrow.csv.ReadOptions(**options["read_options"])
        try:
            with self._opened() as file:
                table = pyarrow.csv.read_csv(file, **options)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        self.count = table.num_rows
        return self._numbers(table, places, as_text)

    def _numbers(self, table: Any, places: Sequence[int], as_text: set[str]) -> dict[int, Any] | None:
        """What Arrow read, by place; None where the careful reader knows better."""
        found: dict[int, Any] = {}
        for k in places:
            column = table.column(str(k))
            if str(k) in as_text:
                try:
                    found[k] = Cells(column.to_pylist(), self.first_bad)
                except UnicodeDecodeError:
                    return None
                continue
            values = column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)
            if len(values) and np.nanmax(np.abs(values), initial=0.0) >= EXACT:
                return None
            found[k] = values
        return found

    def blocks(self, places: Sequence[int], words: set[int], size: int) -> Iterator[dict[int, Any]]:
        """Columns by place as ``fetch`` gives them, about ``size`` bytes of text at a time, as far as Arrow reads them.

        It ends at the first block that the careful reader must see: ``records`` goes on from there.
        """
        if self.layout.separator in (None, " ", self.layout.likely):
            return
        import pyarrow as pa
        import pyarrow.csv

        options, as_text = self._options(places, words)
        options["read_options"] = pyarrow.csv.ReadOptions(**options["read_options"], block_size=size)
        try:
            with self._opened() as file, pyarrow.csv.open_csv(file, **options) as reader:
                for batch in reader:
                    found = self._numbers(batch, places or [0], as_text)
                    if found is None:
                        return
                    if batch.num_rows:
                        yield found
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return

    def records(self, skip: int) -> Iterator[list[str]]:
        """The rows after the first ``skip``, as cells; ``DataError`` at the first that is not as long as the header."""
        return islice(self._rows(), skip, None)

    def first_bad(self) -> int | None:
        """The position from 0 of the first byte that is no UTF-8."""
        return _first_bad(self._open)

    def _careful(self, places: Sequence[int]) -> dict[int, list[str]]:
        small = self.size <= LARGE
        if self._cells is not None and all(k in self._cells for k in places):
            return self._cells
        wanted = range(len(self.names)) if small else places
        columns: dict[int, list[str]] = {k: [] for k in wanted}
        added = [(k, columns[k].append) for k in wanted]
        count = 0
        for row in self._rows():
            for k, add in added:
                add(row[k])
            count += 1
        self.count = count
        if small:
            self._cells = columns
        return columns

    def _rows(self) -> Iterator[list[str]]:
        """The rows after the header, each as long as the header; ``DataError`` at the first that is not."""
        width = len(self.names)
        with self._open() as raw:
            raw.seek(self.layout.start + self.skip)
            lines = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
            number = 0
            try:
                for number, row in enumerate(layouts.records(lines, self.layout.separator), 1):
                    if len(row) != width:
                        raise self._ragged(number, row, width)
                    yield row
            except csv.Error:
                raise DataError("E-FORMAT", "data.quote_row", place=self.place, row=number + 1) from None

    def _ragged(self, number: int, row: list[str], width: int) -> DataError:
        key = "data.ragged" if self.layout.header is not None else "data.ragged_first"
        return DataError(
            "E-RAGGED", key, place=self.place, row=number, count=len(row), width=width,
            cells=some([shown(cell) for cell in row]),
        )  # fmt: skip

    def rows(self) -> int:
        """How many rows there are."""
        if self.count is None:
            self.fetch([0])
        assert self.count is not None
        return self.count

    def bad_name(self, name: str) -> int | None:
        """The first byte that is no UTF-8, where some column's name has one and ``name`` is none of the names."""
        if name in self.names or not any("\ufffd" in other for other in self.names):
            return None
        return _first_bad(self._open)


def _first_bad(opened: Any) -> int | None:
    """The position from 0 of the first byte that is no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    place = 0
    with opened() as stream:
        while True:
            block = stream.read(1 << 20)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return place - held + error.start
            place += len(block)
            if not block:
                return None

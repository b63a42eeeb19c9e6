"""Text files: what is written is read exactly, what is found is said, what is wrong is named by row and column."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katamuki.data import Columns, read, rows, select, text
from katamuki.errors import DataError


def taken(body: str | bytes, used: tuple[str, ...] = ("x", "y"), **options: object) -> Columns:
    """Read from bytes and select; options are those of both."""
    how = {key: options.pop(key) for key in ("where", "missing") if key in options}
    stream = io.BytesIO(body if isinstance(body, bytes) else body.encode())
    return select(read(stream, **options), used, **how)


def lists(found: Columns) -> dict[str, list[float]]:
    return {name: column.tolist() for name, column in found.arrays.items()}


def refused(code: str, body: str | bytes, used: tuple[str, ...] = ("x", "y"), **options: object) -> str:
    """The message of an error as the command line prints it."""
    with pytest.raises(DataError) as caught:
        taken(body, used, **options)
    assert caught.value.code == code
    return caught.value.render(surface="cli")


SAME = {"x": [1.0, 3.0], "y": [2.5, -4.0]}
FOUND = {
    "comma": ("x,y\n1,2.5\n3,-4\n", ",", "."),
    "CRLF": ("x,y\r\n1,2.5\r\n3,-4\r\n", ",", "."),
    "CR": ("x,y\r1,2.5\r3,-4\r", ",", "."),
    "no last newline": ("x,y\n1,2.5\n3,-4", ",", "."),
    "byte order mark": ("\ufeffx,y\n1,2.5\n3,-4\n", ",", "."),
    "UTF-16": ("\ufeffx,y\n1,2.5\n3,-4\n".encode("utf-16-le"), ",", "."),
    "UTF-16 big": ("\ufeffx,y\n1,2.5\n3,-4\n".encode("utf-16-be"), ",", "."),
    "blanks": ("x, y\n1, 2.5\n3 , -4 \n", ",", "."),
    "semicolon": ("x;y\n1;2.5\n3;-4\n", ";", "."),
    "decimal comma": ("x;y\n1;2,5\n3;-4\n", ";", ","),
    "tab": ("x\ty\n1\t2.5\n3\t-4\n", "\t", "."),
    "tab and comma": ("x\ty\n1,0\t2,5\n3\t-4,\n", "\t", ","),
    "bar": ("x|y\n1|2.5\n3|-4\n", "|", "."),
    "spaces": ("x y\n1 2.5\n3 -4\n", " ", "."),
    "aligned": ("   x     y\n   1   2.5\n   3  -4.0\n", " ", "."),
    "spaces and comma": ("x y\n1,0 2,5\n3,0 -4,0\n", " ", ","),
    "comments": ("# measured\n# by hand, in mm\n\nx,y\n1,2.5\n3,-4\n", ",", "."),
    "empty lines": ("\nx,y\n\n1,2.5\n\n3,-4\n\n", ",", "."),
    "quotes": ('"x","y"\n"1","2.5"\n"3","-4"\n', ",", "."),
    "quoted newline": ('"x",y,note\n1,2.5,"a\nb, ""c"""\n3,-4,\n', ",", "."),
    "quoted name": ('"no\nte",x,y\na,1,2.5\nb,3,-4\n', ",", "."),
    "exponents": ("x,y\n+1e0,25E-1\n.3e+1,-4.\n", ",", "."),
    "other columns": ("note,x,when,y\né,1,2024-01-01,2.5\n?,3,,-4\n", ",", "."),
    "Latin-1 in another column": ("note,x,y\né,1,2.5\nö,3,-4\n".encode("latin-1"), ",", "."),
    "Latin-1 in the header": ("T °C,x,y\n5,1,2.5\n6,3,-4\n".encode("latin-1"), ",", "."),
}


@pytest.mark.parametrize("kind", FOUND)
def test_the_layout_of_a_file_is_found_and_said(kind):
    body, separator, decimal = FOUND[kind]
    found = taken(body)
    assert lists(found) == SAME
    assert (found.source.separator, found.source.decimal, found.source.rows) == (separator, decimal, 2)
    assert found.source.header is not None
    assert {"x", "y"} <= set(found.source.header)
    assert found.source.kind == ("tsv" if separator == "\t" else "csv")


def test_a_file_without_a_header_gets_names():
    found = taken("1,2.5\n3,-4\n")
    assert lists(found) == SAME
    assert found.source.header is None
    assert lists(taken("# x y\n1 2.5\n3 -4\n")) == SAME
    assert read(io.BytesIO(b"1,2,3\n4,5,6\n")).names == ("c1", "c2", "c3")
    assert read(io.BytesIO(b"1\n2\n")).names == ("c1",)
    assert read(io.BytesIO(b"NA,2\n1,3\n")).names == ("x", "y")
    assert lists(taken("1,2\n3,4\n", ("1", "2"), header=True)) == {"1": [3.0], "2": [4.0]}
    assert lists(taken("1,2\n3,4\n", header=False)) == {"x": [1.0, 3.0], "y": [2.0, 4.0]}


def test_a_first_row_that_may_be_data_or_a_header_is_asked_about():
    for body in ("a,1\nb,2\n", "id,2019,2020\na,1,2\n"):
        assert "--header or --no-header" in refused("E-HEADER", body)
    assert lists(taken("id,2019\na,1\n", ("2019",), header=True)) == {"2019": [1.0]}
    assert lists(taken("a,1\nb,2\n", ("y",), header=False)) == {"y": [1.0, 2.0]}
    # A name over numbers settles it.
    assert lists(taken("dose,2019\n1,2\n", ("dose", "2019"))) == {"dose": [1.0], "2019": [2.0]}


def test_a_nameless_column_gets_its_place_as_a_name():
    assert read(io.BytesIO(b",x,y\n0,1,2\n1,3,4\n")).names == ("c1", "x", "y")


def test_options_overrule_what_would_be_found():
    assert lists(taken("x;y\n1;2\n", sep="semicolon")) == {"x": [1.0], "y": [2.0]}
    assert lists(taken("x y\n1 2\n", sep="space")) == {"x": [1.0], "y": [2.0]}
    assert lists(taken("x:y\n1:2\n", sep=":")) == {"x": [1.0], "y": [2.0]}
    assert lists(taken('x,y\n"1,5",2\n', decimal=",", sep="comma")) == {"x": [1.5], "y": [2.0]}
    for sep in ("", ",,", "a", '"', "\n"):
        refused("E-SEPARATOR", "x,y\n1,2\n", sep=sep)
    refused("E-DECIMAL", "x,y\n1,2\n", decimal="'")
    # The remedies that errors name work.
    assert lists(taken('x,y\n"1,5",2\n', decimal=",")) == {"x": [1.5], "y": [2.0]}
    assert lists(taken("y\n1,5\n2,5\n", ("y",), decimal=",")) == {"y": [1.5, 2.5]}


def test_two_decimal_marks_stop_as_promised():
    body = "x;y\n1;2\n2;2.4\n3;1\n4;1\n5;1\n6;1\n7;3,5\n"
    message = refused("E-NUMBER", body)
    assert message == 'row 7 column y: "3,5" but row 2 has "2.4"\n  try: --decimal , [E-NUMBER]'
    assert lists(taken(body, ("x",)))["x"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]  # y is not used
    assert 'row 1 column x has "0.5"' in refused("E-NUMBER", "x;y\n0.5;1\n1;2,5\n")
    assert 'row 2 column y: "2.4"' in refused("E-NUMBER", body, decimal=",")


def test_a_comma_inside_quotes_is_no_number_until_it_is_said():
    assert "--decimal ," in refused("E-NUMBER", 'x,y\n"1,5",2\n')
    for thousands in ("1,234,567", "1.234,5"):
        refused("E-NUMBER", f"x;y\n{thousands};2\n")


BAD = {
    "empty file": ("E-EMPTY", "", "holds no rows"),
    "blank file": ("E-EMPTY", "\n \n\n", "holds no rows"),
    "only comments": ("E-EMPTY", "# nothing\n", "holds no rows"),
    "only a header": ("E-EMPTY", "x,y\n", "has no rows"),
    "short row": ("E-RAGGED", "x,y\n1,2\n3\n", "row 2 has 1 cells, but the header has 2"),
    "long row": ("E-RAGGED", "x,y\n1,2\n3,4,5\n", "row 2 has 3 cells, but the header has 2"),
    "short row without header": ("E-RAGGED", "1,2\n3,4\n5\n", "row 3 has 1 cells, but row 1 has 2"),
    "row names of R": ("E-RAGGED", "x,y\na,1,2\nb,3,4\n", "row 1 has 3 cells"),
    "text": ("E-NUMBER", "x,y\n1,2\n3,four\n", 'row 2 column y: "four" is not a number'),
    "grouped": ("E-NUMBER", "x,y\n1,2\n3,1_000\n", 'row 2 column y: "1_000"'),
    "hexadecimal": ("E-NUMBER", "x,y\n1,0x10\n", '"0x10"'),
    "other digits": ("E-NUMBER", "x,y\n1,٣\n", '"٣"'),
    "unicode minus": ("E-NUMBER", "x,y\n1,−3\n", '"−3"'),
    "overflow": ("E-NUMBER", "x,y\n1,2e400\n", "beyond the largest float64"),
    "large integer": ("E-INTEGER", "x,y\n1,9007199254740993\n", "9007199254740993"),
    "date": ("E-DATE", "x,y\n2024-01-01,2\n", "--time x=s"),
    "German date": ("E-DATE", "x,y\n01.02.2024,2\n", "is a date"),
    "time": ("E-DATE", "x,y\n12:30,2\n", "is a date or time"),
    "missing": ("E-MISSING", "x,y\n1,\n2,5\nNA,3\n", "2 rows have no value: 1 (y), 3 (x)"),
    "infinite": ("E-MISSING", "x,y\n1,inf\n2,-Infinity\n", "1 (y = inf), 2 (y = -inf)"),
    "duplicate": ("E-DUPLICATE", "x,y,x\n1,2,3\n", "the columns 1, 3"),
    "no column": ("E-COLUMN", "x,Y\n1,2\n", "columns: x, Y   (names are case-sensitive)"),
    "open quote": ("E-FORMAT", 'x,y\n1,"2\n3,4\n', "row 1"),
    "open quote in the header": ("E-FORMAT", '"x,y\n1,2\n', "quote"),
    "binary": ("E-FORMAT", b"\x01\x00\x02\x00", "no text"),
    "odd UTF-16": ("E-ENCODING", b"\xff\xfex\x00,\x00y\x00\x00", "UTF-16"),
    "Latin-1 in a used column": ("E-ENCODING", "x,y\n1,2\n3,4µ\n".encode("latin-1"), "byte 11"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_with_the_place(kind):
    code, body, words = BAD[kind]
    assert words in refused(code, body)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('"1,200"', "write 1200 if the mark parts thousands; --decimal , if it parts decimals"),
        ('"1,200.5"', "write 1200.5"),
        ('"-1,234,567"', "write -1234567"),
        ('"1.234.567,5"', "write 1234567,5"),
        ("1 200.5", "write 1200.5"),
        ("1’200", "write 1200"),
    ],
)
def test_thousands_separators_are_named_and_never_taken_for_a_decimal_mark(cell, said):
    assert f"try: {said} [E-NUMBER]" in refused("E-NUMBER", f"x,y\n1,{cell}\n")


def test_decimal_commas_are_no_separators_even_where_no_cell_of_a_column_is_a_number():
    body = "Zeit [s];U [mV]\n" + "".join(f"{t},5;1.20{t},5\n" for t in range(1, 9))
    message = refused("E-NUMBER", body, ("U [mV]",))
    assert 'column U [mV]: "1.201,5" is written with thousands separators' in message
    assert "try: write 1201,5" in message


def test_a_name_that_is_no_utf8_is_refused_where_it_is_used():
    body = "x,y,T °C\n1,2,3\n".encode("latin-1")
    assert "byte 6 is not UTF-8" in refused("E-ENCODING", body, ("x", "T °C"))


def test_messages_show_no_control_characters():
    message = refused("E-NUMBER", "x,y\n1,\x1b[31mred\n")
    assert "\x1b" not in message
    assert "\\x1b[31mred" in message
    assert len(refused("E-NUMBER", "x,y\n1," + "z" * 10_000 + "\n")) < 150


def test_an_empty_line_in_one_column_is_a_missing_value():
    assert "2 (y)" in refused("E-MISSING", "y\n1\n\n3\n\n\n", ("y",))


def test_a_field_beyond_the_limit_of_the_parser_is_an_error():
    refused("E-FORMAT", "x,y\n1,2\n3," + "4" * 200_000 + "\n")


def test_dates_become_elapsed_time():
    body = "t,y\n2024-02-28 12:00:00,1\n2024-03-01T12:00:00.25,2\n,3\n"
    found = taken(body, ("t", "y"), time={"t": "h"}, missing="drop")
    assert lists(found) == {"t": [0.0, 48 + 0.25 / 3600], "y": [1.0, 2.0]}
    assert found.source.dropped == 1
    for bad in ("03/04/2024", "soon", "2024-02-30", "2024-01-01 00:00:00.1234567891"):
        assert "ISO 8601" in refused("E-TIME", f"t,y\n{bad},1\n", ("t",), time={"t": "s"})


DIGITS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    values=st.lists(st.tuples(DIGITS, DIGITS), min_size=1, max_size=8),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from(".,"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    header=st.booleans(),
    note=st.sampled_from(["", "a b", 'say "x"', "two\nlines", "1;2,3|4"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_numbers_written_to_a_file_are_read_back_exactly(
    values, separator, decimal, newline, quoting, header, note, mark
):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator=newline, quoting=quoting)
    if header:
        writer.writerow(["x", "note", "y"])
    for x, y in values:
        writer.writerow([repr(x).replace(".", decimal), note, repr(y).replace(".", decimal)])
    names = ("x", "y") if header else ("c1", "c3")
    body = (mark + stream.getvalue()).encode()
    found = taken(body, names, sep=separator, decimal=decimal, header=header)
    assert found.arrays[names[0]].tolist() == [x for x, _ in values]
    assert found.arrays[names[1]].tolist() == [y for _, y in values]


@given(
    values=st.lists(st.tuples(DIGITS, DIGITS), min_size=2, max_size=8),
    layout=st.sampled_from(
        [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", ","), (" ", "."), (" ", ",")]
    ),
)
def test_the_layout_of_a_table_of_numbers_is_found_without_help(values, layout):
    separator, decimal = layout
    lines = [separator.join(f"{v!r}".replace(".", decimal) for v in row) for row in values]
    found = taken("\n".join([f"x{separator}y", *lines]))
    assert found.arrays["x"].tolist() == [x for x, _ in values]
    assert found.arrays["y"].tolist() == [y for _, y in values]
    assert found.source.separator == separator


@given(st.binary(max_size=200) | st.text('xy,;\t|"\n\r .0123456789e-#', max_size=80).map(str.encode))
def test_any_bytes_give_rows_or_a_data_error(body):
    try:
        taken(body)
    except DataError as error:
        assert str(error).isprintable() or "\n" in str(error)  # noqa: PT017


def test_readers_of_others_see_the_same_numbers(tmp_path):
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {"x": rng.normal(size=50) * 10.0 ** rng.integers(-300, 300, 50), "k": "a,b", "y": rng.normal(size=50)}
    )
    for separator, decimal in ((",", "."), (";", ","), ("\t", ",")):
        path = tmp_path / "d.csv"
        frame.to_csv(path, sep=separator, decimal=decimal, index=False)
        found = select(rows(path), ("x", "y"))
        theirs = pd.read_csv(path, sep=separator, decimal=decimal)
        ours = pl.read_csv(path, separator=separator, decimal_comma=decimal == ",")
        for name in ("x", "y"):
            assert found.arrays[name].tobytes() == theirs[name].to_numpy().tobytes()
            assert found.arrays[name].tobytes() == frame[name].to_numpy().tobytes()
            np.testing.assert_array_equal(found.arrays[name], ours[name].to_numpy())


LARGE = "note;x;y\n" + "".join(f'"a\nb";{i};{i / 7!r}\n'.replace(".", ",") for i in range(300))


def test_the_fast_reader_and_the_careful_one_agree(monkeypatch):
    careful = lists(taken(LARGE, where="note != 'z'"))
    assert len(careful["x"]) == 300
    monkeypatch.setattr(text, "LARGE", 0)
    monkeypatch.setattr(text.TextFile, "_careful", None)  # Arrow must have read it
    found = taken("\ufeff# comment\n" + LARGE)
    assert lists(found) == careful
    assert (found.source.separator, found.source.decimal, found.source.rows) == (";", ",", 300)
    assert lists(taken(LARGE, where="note != 'z'")) == careful
    assert taken(LARGE, ("y",)).arrays["y"].tolist() == careful["y"]


@pytest.mark.parametrize("kind", [*BAD, *FOUND])
def test_what_the_fast_reader_refuses_the_careful_one_explains(kind, monkeypatch):
    monkeypatch.setattr(text, "LARGE", 0)
    if kind in BAD:
        test_a_bad_file_is_refused_with_the_place(kind)
    else:
        test_the_layout_of_a_file_is_found_and_said(kind)


def test_a_mark_that_turns_up_far_down_is_seen(monkeypatch, tmp_path):
    monkeypatch.setattr(text, "LARGE", 0)
    head = "x;y\n" + "1;2\n" * 50_000
    assert taken(head + "1;3,5\n").arrays["y"][-1] == 3.5
    assert "row 50002" in refused("E-NUMBER", head + "1;3,5\n2;2.5\n")
    assert "row 50001 column y" in refused("E-NUMBER", head + "1;z\n")
    assert "row 50001 has 3 cells" in refused("E-RAGGED", head + "1;2;3\n")
    assert "50001 (y)" in refused("E-MISSING", head + "1;\n")
    assert "row 50001" in refused("E-INTEGER", head + "1;9007199254740993\n")
    path = tmp_path / "large.csv"
    path.write_text(head + "1;3,5\n")
    assert select(rows(path), ("y",)).arrays["y"].sum() == 100_003.5
    assert len(rows(path)) == 50_001

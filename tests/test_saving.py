"""Save and load are each other's inverse, and a file that is not a saved fit is refused by name."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import math
import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import katamuki as km
from katamuki.api import saving
from katamuki.errors import DataError
from katamuki.records import Minimum, Search

X = np.linspace(0.5, 6.0, 12)
Y = 3.0 * np.exp(-0.4 * X) + 0.5 + 0.05 * np.sin(40 * X)
SIGMA = np.linspace(0.02, 0.08, 12)


def fits() -> dict[str, km.Fit]:
    """One fit of each kind that has something of its own to keep."""
    tutorial = km.datasets("tutorial")
    decay = "y ~ a*exp(-b*x) + c"
    data = {"x": X, "y": Y, "err": SIGMA}
    start = {"a": 2.0, "b": 0.5, "c": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", km.FitWarning)
        found = {
            "linear": km.fit("y ~ a*x + b", tutorial),
            "cycle": km.fit("y ~ a*x + b", tutorial, solver=km.RMSprop(lr=0.001)),
            "slow": km.fit("y ~ a*x + b", tutorial, solver=km.Adam(steps=50)),
            "undetermined": km.fit("y ~ (a + c)*x + b", tutorial),
            "curve": km.fit(decay, data, start=start),
            "weighted": km.fit(decay, data, start=start, sigma="err", sigma_is="known"),
            "bounded": km.fit(decay, data, start={"a": 2.0}, bounds={"c": (None, 9.0)}, fixed={"b": 0.4}),
            "function": km.fit(lambda x, a, b: a * np.log(x) + b, data),
            "left side": km.fit("log(y) ~ a*x + b", data),
            "no freedom": km.fit("y ~ a*x + b", {"x": [1.0, 2.0], "y": [2.0, 5.0]}),
            "odd names": km.fit("`y 傾き` ~ a*`x [m]` + b", {"x [m]": X, "y 傾き": Y}),
        }
    with pytest.raises(km.NotConverged) as caught:
        km.fit("y ~ a*x + b", tutorial, solver=km.SGD(lr=0.011))
    assert isinstance(caught.value.fit, km.Fit)
    found["diverged"] = caught.value.fit
    return found


FITS = fits()


def same(one: Any, two: Any) -> bool:
    """Equal to the bit; NaN equals NaN."""
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()
    if dataclasses.is_dataclass(one):
        return type(one) is type(two) and all(
            same(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one)
        )
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(value, two[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", two)
    return bool(one == two)


@pytest.mark.parametrize("kind", FITS)
def test_a_loaded_fit_is_the_one_that_was_saved(kind: str, tmp_path: Path) -> None:
    fit = FITS[kind]
    fit.save(tmp_path / "fit.json")
    again = km.load(str(tmp_path / "fit.json"))
    assert same(again.solution, fit.solution)
    assert same(again.data, fit.data)
    assert same(again.trace, fit.trace)
    assert same(dict(again.columns), dict(fit.columns))
    assert same(again.weights, fit.weights)
    assert same(again.findings, fit.findings)
    assert again.verdict == fit.verdict
    assert again.seed == fit.seed
    assert str(again) == str(fit)
    assert same(again.residuals, fit.residuals)
    if kind != "function":  # its nodes are numbered in the order of the calls, those of a text as it is read
        assert again.source == fit.source
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "fit.json").read_bytes()


@pytest.mark.parametrize("kind", sorted(set(FITS) - {"no freedom", "diverged"}))
def test_a_loaded_fit_predicts_and_derives(kind: str, tmp_path: Path) -> None:
    fit = FITS[kind]
    fit.save(tmp_path / "fit.json")
    again = km.load(tmp_path / "fit.json")
    data = {name: np.array([1.0, 2.5]) for name in fit.predictors}
    one, two = fit.predict(data, interval="new"), again.predict(data, interval="new")
    assert same(one, two)
    assert same(again.derive("q = 2*b"), fit.derive("q = 2*b"))


def test_the_file_is_the_object_of_json_and_the_arrays(tmp_path: Path) -> None:
    fit = FITS["curve"]
    fit.save(tmp_path / "fit.json")
    whole = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    saved = whole.pop("saved")
    assert whole == json.loads(json.dumps(fit.to_dict()))
    array = saved["columns"]["x"]
    assert np.frombuffer(base64.b64decode(array["float64"]), "<f8").tolist() == X.tolist()


def edited(tmp_path: Path, kind: str, change: Any) -> Path:
    path = tmp_path / "fit.json"
    FITS[kind].save(path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    change(whole)
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def put(*keys: Any, value: Any) -> Any:
    def change(whole: Any) -> None:
        for key in keys[:-1]:
            whole = whole[key]
        whole[keys[-1]] = value

    return change


def zeros(*shape: int, kind: str = "float64") -> dict[str, Any]:
    return {"shape": list(shape), kind: base64.b64encode(np.zeros(shape, kind).tobytes()).decode()}


DAMAGES = [
    put("saved", "solution", "params", value={}),
    put("saved", "solution", "params", "a", value="1.0"),
    put("saved", "solution", "params", "a", value=None),
    put("saved", "solution", "params", "a", value=2.5),
    put("params", "a", "value", value=2.5),
    put("params", value=[]),
    put("verdict", value="splendid"),
    put("saved", "solution", "state", value="splendid"),
    put("saved", "solution", "formula", value="y ~ __import__('os').system('true')"),
    put("saved", "solution", "formula", value="y ~ a*z + b"),
    put("saved", "solution", "formula", value=7),
    put("saved", "solution", "n", value=11.0),
    put("saved", "solution", "n", value=10**400),
    put("saved", "solution", "loss", value=True),
    put("saved", "solution", "free", value=["a", "q"]),
    put("saved", "solution", "surprise", value=1),
    put("saved", "solution", value=None),
    put("saved", "solution", "covariance", "shape", value=[4, 1]),
    put("saved", "solution", "covariance", "shape", value=[-2, -2]),
    put("saved", "solution", "covariance", "float64", value="AAAA"),
    put("saved", "solution", "covariance", "float64", value="%%%"),
    put("saved", "solution", "covariance", "float64", value="傾"),
    put("saved", "columns", value={}),
    put("saved", "columns", "x", value={"shape": [1], "float64": "AAAAAAAAAAA="}),
    put("saved", "columns", "x", value=[1, 2, 3]),
    put("saved", "weights", value={"shape": [0], "float64": ""}),
    put("saved", "trace", "index", value={"shape": [0], "int64": ""}),
    put("saved", "trace", "names", value=["a", 5]),
    put("saved", "trace", "params", "shape", value=[3, 2, 1]),
    put("saved", "trace", "names", value=["b", "a"]),
    put("saved", "trace", "extra", "state", value=zeros(6001, 1)),  # compiled code would write 8 numbers there
    put("saved", "trace", "extra", "scale", value=zeros(6001, 1)),
    put("saved", "trace", "extra", "accumulated", value=zeros(6001)),
    put("saved", "trace", "extra", "other", value=zeros(6001, 2)),
    put("saved", "trace", "index", value=zeros(6001, kind="int64")),
    put("saved", "trace", "loss", value=zeros(6001, 1)),
    put("saved", "solution", "reference", "curvature", value=zeros(1, 1)),
    put("saved", "solution", "solver", value="nobody"),
    put("saved", "solution", "options", "lr", value=-1.0),
    put("saved", "solution", "options", "speed", value=1.0),
    put("saved", "findings", value=[{}]),
    put("saved", "source", value={"name": "x"}),
    put("saved", "source", "surprise", value=1),
    put("saved", "seed", value="0"),
    put("saved", "columns", value=None),
]


@pytest.mark.parametrize("change", range(len(DAMAGES)))
def test_a_damaged_file_is_refused(change: int, tmp_path: Path) -> None:
    path = edited(tmp_path, "cycle", DAMAGES[change])
    with pytest.raises(DataError) as caught:
        km.load(path)
    assert caught.value.code == "E-SAVED"
    assert "fit.json" in caught.value.render()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\x80\x04\x95", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1, 2]", "no fit of katamuki"),
        (b"17", "no fit of katamuki"),
        (b'{"a": 1}', "no fit of katamuki"),
        (b'{"schema": 5}', "no fit of katamuki"),
        (b'{"schema": "katamuki.fit/1"}', "report"),
        (b'{"schema": "katamuki.fit/2", "saved": {"format": 1}}', "later version"),
        (b'{"schema": "katamuki.fit/1", "saved": {"format": 4}}', "later version"),
        (b'{"schema": "katamuki.fit/1", "saved": {"format": "1"}}', "later version"),
        (b'{"schema": "katamuki.fit/1", "saved": []}', "later version"),
        (b'{"schema": "katamuki.fit/1", "saved": {"format": 1}}', "damaged"),
    ],
)
def test_a_file_that_is_no_saved_fit_is_refused_by_what_it_is(content: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=word) as caught:
        km.load(path)
    assert caught.value.code == "E-SAVED"


@given(st.data())
def test_a_file_with_any_piece_cut_or_changed_gives_a_fit_or_an_error_of_ours(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.json"
        FITS["linear"].save(path)
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[place : place + data.draw(st.integers(1, 200))]
        else:
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            str(km.load(path))


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    for place in (tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError) as caught:
            km.load(place)
        assert caught.value.code == "E-FILE"
    with pytest.raises(DataError) as caught:
        FITS["linear"].save(tmp_path / "none" / "fit.json")
    assert caught.value.code == "E-FILE"
    with pytest.raises(DataError):
        FITS["linear"].save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_replaced_whole_and_keeps_its_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fit.json"
    path.write_text("before", encoding="utf-8")
    path.chmod(0o640)

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fails)
        with pytest.raises(DataError, match="No space left"):
            FITS["linear"].save(path)
    assert path.read_text(encoding="utf-8") == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["fit.json"]
    FITS["linear"].save(path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert km.load(path).params == FITS["linear"].params


def test_numbers_that_json_lacks_survive() -> None:
    plain = json.loads(json.dumps(saving._plain({"a": [math.nan, math.inf, -math.inf, -0.0, 1e-323]}), allow_nan=False))
    back = saving._anything(plain)["a"]
    assert same(back, (math.nan, math.inf, -math.inf, -0.0, 1e-323))


# ---- what a search found ----


def searched_fit() -> km.Fit:
    """A fit with the record of a search, one of its starts left where the formula has no value."""
    fit = km.fit("y ~ a*exp(-b*x) + c", {"x": X, "y": Y}, start={"a": 2.0, "b": 0.5, "c": 0.0})
    best = Minimum(dict(fit.params), fit.loss, 41)
    other = Minimum({"a": -1e300, "b": 2.0, "c": 0.1}, 3.5, 2)
    given = Minimum({"a": 1.0, "b": 1.0, "c": math.nan}, math.inf, 1, converged=False)
    fit.solution = dataclasses.replace(fit.solution, search=Search(64, 60, 12, (best, other), "unsure", given))
    return fit


def test_a_search_is_saved_and_loaded_bit_for_bit(tmp_path: Path) -> None:
    fit = searched_fit()
    fit.save(tmp_path / "fit.json")
    again = km.load(tmp_path / "fit.json")
    assert same(again.solution.search, fit.solution.search)
    shown = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))["search"]
    assert (shown["starts"], shown["ending"], shown["given"]["loss"]) == (64, "unsure", None)
    assert shown["minima"][1]["params"]["a"] == -1e300


def test_a_file_of_the_first_format_has_no_search(tmp_path: Path) -> None:
    fit = searched_fit()
    fit.save(tmp_path / "fit.json")
    whole = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    del whole["search"]
    del whole["saved"]["solution"]["search"]
    for form, loads in ((1, True), (2, False)):
        whole["saved"]["format"] = form
        (tmp_path / "old.json").write_text(json.dumps(whole), encoding="utf-8")
        if loads:
            again = km.load(tmp_path / "old.json")
            assert again.solution.search is None
            assert again.params == fit.params
        else:
            with pytest.raises(DataError, match="damaged"):
                km.load(tmp_path / "old.json")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("starts",), "64"),
        (("ending",), "splendid"),
        (("minima",), 5),
        (("minima", 0, "reached"), 1.5),
        (("minima", 0, "converged"), 1),
        (("minima", 1, "params"), {"a": 1.0}),
        (("given", "loss"), "much"),
        (("given", "params"), {"z": 1.0}),
    ],
)
def test_a_damaged_search_is_refused(keys: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    searched_fit().save(tmp_path / "fit.json")
    whole = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    put("saved", "solution", "search", *keys, value=value)(whole)
    (tmp_path / "fit.json").write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        km.load(tmp_path / "fit.json")
    assert caught.value.code == "E-SAVED"


def test_a_finding_with_an_open_end_is_saved_and_said_in_any_language(tmp_path: Path) -> None:
    s = np.linspace(0.1, 0.8, 8)
    fit = km.fit("y ~ v*x/(k + x)", {"x": s, "y": 2 * s / (1.5 + s) + 0.05 * np.random.default_rng(3).normal(size=8)})
    assert {one.values["above"] for one in fit.findings if one.code == "CURVED"} == {math.inf}
    fit.save(tmp_path / "fit.json")
    again = km.load(tmp_path / "fit.json")
    assert same(again.findings, fit.findings)
    assert again.text("ja") == fit.text("ja")
    shown = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))["findings"]
    assert {one["values"]["above"] for one in shown if one["code"] == "CURVED"} == {None}

"""What is public is importable, documented and explained; what is documented exists."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import katamuki

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
NAMES = [name for name in katamuki.__all__ if not name.startswith("_")]
ERRORS = {
    name
    for name in NAMES
    if isinstance(getattr(katamuki, name), type) and issubclass(getattr(katamuki, name), Exception)
}


def documented(text: str, name: str) -> bool:
    """Whether a document has an entry for a name: the name, called or not, as code at the start of a row or heading."""
    return re.search(rf"^(\| |#+ |\* )`{re.escape(name)}[`(\[ ]", text, re.MULTILINE) is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented(name: str) -> None:
    assert documented(REFERENCE.read_text(encoding="utf-8"), f"km.{name}")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ERRORS])
def test_a_public_name_has_a_docstring_with_an_example(name: str) -> None:
    doc = inspect.getdoc(getattr(katamuki, name)) or ""
    assert "Example" in doc, name
    assert ">>>" in doc, name


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_says_when_it_is_raised(name: str) -> None:
    assert inspect.getdoc(getattr(katamuki, name))


def test_dir_shows_every_public_name() -> None:
    assert set(katamuki.__all__) <= set(dir(katamuki))
    assert katamuki.__all__ == sorted(katamuki.__all__, key=_order)


def _order(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        katamuki.nothing_here  # noqa: B018


def test_every_name_is_found_in_a_fresh_process() -> None:
    code = "import katamuki\nfor name in katamuki.__all__: getattr(katamuki, name)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.fixture(scope="module")
def fit() -> katamuki.Fit:
    return katamuki.fit("y ~ a*x + b", katamuki.datasets("tutorial"))


def public(fit: katamuki.Fit) -> list[str]:
    """The attributes of a fit that users may read."""
    return [name for name in dir(fit) if not name.startswith("_")]


def test_every_attribute_of_a_fit_is_documented(fit: katamuki.Fit) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert [name for name in public(fit) if not documented(text, f"fit.{name}")] == []


def test_every_method_of_a_fit_is_explained_by_an_example(fit: katamuki.Fit) -> None:
    for name in public(fit):
        member = getattr(type(fit), name, None)
        if inspect.isfunction(member):
            assert ">>>" in (inspect.getdoc(member) or ""), name
        elif isinstance(member, property):
            assert inspect.getdoc(member), name


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if inspect.isclass(getattr(katamuki, name)) and hasattr(getattr(katamuki, name), "__dataclass_fields__")
    ],
)
def test_every_option_of_a_solver_is_explained(name: str) -> None:
    solver = getattr(katamuki, name)
    for option in (field.name for field in dataclasses.fields(solver)):
        assert re.search(rf"^\s*(.*, )?{option}\b.* : ", inspect.getdoc(solver) or "", re.MULTILINE), f"{name}.{option}"


SECTIONS = ("Parameters", "Returns", "Raises", "Source", "Example")


def sections(doc: str) -> list[str]:
    """The headings of a docstring, in its order."""
    return re.findall(r"^(\w+)\n-{3,}$", doc, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_keep_the_order_of_the_house(name: str) -> None:
    found = getattr(katamuki, name)
    members = [one for key, one in vars(found).items() if not key.startswith("_")] if inspect.isclass(found) else []
    for one in (found, *members):
        said = sections(inspect.getdoc(one) or "") if inspect.isroutine(one) or inspect.isclass(one) else []
        assert said == [heading for heading in SECTIONS if heading in said], one


def test_a_docstring_in_another_order_is_found() -> None:
    assert sections("A line.\n\nReturns\n-------\nint\n\nNotes\n-----\nWords.") == ["Returns", "Notes"]


def test_every_argument_of_fit_is_explained() -> None:
    doc = inspect.getdoc(katamuki.fit) or ""
    for argument in inspect.signature(katamuki.fit).parameters:
        assert re.search(rf"^(.*, )?{argument}\b.* : ", doc, re.MULTILINE), argument


def test_what_the_reference_names_exists(fit: katamuki.Fit) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for name in re.findall(r"^(?:\| |#+ |\* )`km\.(\w+)", text, re.MULTILINE):
        assert name in katamuki.__all__, name
    for name in re.findall(r"^(?:\| |#+ |\* )`fit\.(\w+)", text, re.MULTILINE):
        assert name in public(fit), name


def test_an_undocumented_name_is_found() -> None:
    assert not documented("| `km.fit(model, data)` | fits |", "km.fits")
    assert not documented("| `km.fit(model, data)` | fits |", "fit.fit")
    assert documented("| `km.fit(model, data)` | fits |", "km.fit")


def test_every_flag_and_command_is_documented() -> None:
    from katamuki.cli.arguments import COMMANDS, FLAGS

    text = REFERENCE.read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"| `katamuki {command}` |" in text, command
    for flag in FLAGS:
        for spelling in flag.spellings:
            assert re.search(rf"^\| `[^|]*{re.escape(spelling)}\b", text, re.MULTILINE), spelling
    known = {one for flag in FLAGS for one in flag.spellings} | {"--help", "--version"}
    known |= {"--no-" + one.lstrip("-") for flag in FLAGS if flag.both for one in flag.spellings}
    for spelling in set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)):
        assert spelling in known, spelling


def test_every_finding_is_documented() -> None:
    from katamuki import messages

    text = REFERENCE.read_text(encoding="utf-8")
    codes = {key.split(".")[1] for key in messages.catalogue("en") if key.startswith("finding.")} - {"advice"}
    assert codes == set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", text, re.MULTILINE))


def test_every_error_code_is_documented() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    codes = set(re.findall(r"\"(E-[A-Z]+)\"", sources))
    assert len(codes) > 20
    assert codes == set(re.findall(r"`(E-[A-Z]+)`", REFERENCE.read_text(encoding="utf-8")))

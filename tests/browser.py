"""A real Chromium for tests of pages: what stands in a page after its script has run, without a network."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VOID = frozenset({"meta", "input", "br", "link", "img", "hr"})


def chromium() -> str:
    """The browser's path; a test fails where there is none, since what it tests is then untested."""
    found = os.environ.get("KATAMUKI_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail("no Chromium is installed, so the page is not tested: apt-get install chromium fonts-noto-cjk")
    return found


@cache
def _profile() -> str:
    """A folder for the browser's own files, one for all pages of this process: a new one costs it a second."""
    folder = tempfile.mkdtemp(prefix="katamuki-chromium-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Page(HTMLParser):
    """The elements of a page: their attributes by id, the text in them, and how many there are of each kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.tags: list[str] = []
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        name = named.get("id")
        if name is not None:
            self.attributes[name] = named
            self.text[name] = ""
        if tag not in VOID:
            self._open.append((tag, name))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, name in self._open:
            if name is not None:
                self.text[name] += data


def opened(html: str, folder: Path, fragment: str = "", milliseconds: int = 3000, *flags: str) -> Page:
    """The page as it stands after so many milliseconds of the browser's own time."""
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run"]
    profile = f"--user-data-dir={_profile()}"
    budget = f"--virtual-time-budget={milliseconds}"
    command = [chromium(), *fixed, *flags, profile, budget, "--dump-dom", path.as_uri() + fragment]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return Page(done.stdout)

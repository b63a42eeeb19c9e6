"""Object files of compiled kernels, kept between processes in a folder that only this user can write.

An entry is ``magic, sha256 of the rest, length of the key, key, object file``. It is written to a temporary file and
moved into place, so two processes may write at once; an entry that is truncated, altered or made for another key is
deleted and the kernel compiled again. Machine code is run from here, so the folder must belong to this user and be
writable by nobody else; otherwise nothing is read from it or written to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from functools import cache as remember
from importlib.metadata import version
from pathlib import Path

MAGIC = b"katamuki object 1\n"


def folder() -> Path | None:
    """The cache folder, made if need be; ``None`` where no safe one can be had."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        # A relative path there is to be ignored (XDG Base Directory Specification).
        path = (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "katamuki"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = path.stat()
    except (OSError, RuntimeError):
        return None
    return path if stat.S_ISDIR(facts.st_mode) and is_private(facts) else None


def is_private(facts: os.stat_result) -> bool:
    """Whether only this user can write there; Windows keeps profiles private by itself."""
    if not hasattr(os, "getuid"):
        return True
    return facts.st_uid == os.getuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@remember
def versions() -> str:
    """Everything whose change makes compiled code another's."""
    return " ".join(f"{name}={version(name)}" for name in ("katamuki", "llvmlite", "numpy"))


def _path(key: bytes) -> Path | None:
    here = folder()
    return None if here is None else here / f"{hashlib.sha256(key).hexdigest()[:40]}.o"


def load(key: bytes) -> bytes | None:
    """The object file kept under a key, or ``None``; a damaged or foreign entry is deleted."""
    path = _path(key)
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            if not is_private(os.fstat(stream.fileno())):
                return None
            content = stream.read()
    except OSError:
        return None
    found = _unpack(content, key)
    if found is None:
        with contextlib.suppress(OSError):
            path.unlink()
    return found


def _unpack(content: bytes, key: bytes) -> bytes | None:
    start = len(MAGIC) + 32
    digest, body = content[len(MAGIC) : start], content[start:]
    if not content.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    size = int.from_bytes(body[:8], "little")
    return body[8 + size :] if body[8 : 8 + size] == key else None


def store(key: bytes, content: bytes) -> None:
    """Keep an object file; where that cannot be done, the next process compiles again."""
    path = _path(key)
    if path is None:
        return
    body = len(key).to_bytes(8, "little") + key + content
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(MAGIC + hashlib.sha256(body).digest() + body)
        os.replace(temporary, path)  # noqa: PTH105  atomic, and over an existing entry
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108

"""A real PostgreSQL server for tests: a folder and a Unix socket of its own, stopped and removed at the end."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import psycopg
import pytest

OPTIONS = "-c listen_addresses='' -c fsync=off -c max_connections=20 -c shared_buffers=32MB"


def programs() -> Path:
    """The folder of initdb and pg_ctl; a test fails where there is none, since what it tests is then untested."""
    places = [os.environ.get("KATAMUKI_POSTGRES", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    on_path = shutil.which("initdb")
    if on_path is not None:
        places.append(str(Path(on_path).resolve().parent))
    for place in reversed(places):
        if place and (Path(place) / "initdb").exists() and (Path(place) / "pg_ctl").exists():
            return Path(place)
    pytest.fail("no PostgreSQL server is installed, so databases are not tested: apt-get install postgresql")


def _as_somebody(folder: Path) -> list[str]:
    """The server refuses to run as root: who runs it instead, and may write into the folder."""
    if os.getuid() != 0:
        return []
    user = (
        "postgres" if subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode == 0 else "nobody"
    )
    shutil.chown(folder, user)
    return ["setpriv", f"--reuid={user}", "--clear-groups", "--"]


@cache
def server() -> str:
    """What a client needs to connect; the server is started by the first test that asks."""
    folder = Path(tempfile.mkdtemp(prefix="kpg-", dir="/tmp"))  # a socket's path must be short
    run, bin_ = _as_somebody(folder), programs()
    made = [*run, str(bin_ / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "tester", "--no-sync"]
    control = [*run, str(bin_ / "pg_ctl"), "-D", str(folder / "data"), "-w", "-t", "60"]

    def stop() -> None:
        subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, check=False, cwd="/tmp")
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    subprocess.run([*made, "-E", "UTF8", "--locale=C"], capture_output=True, check=True, cwd="/tmp")
    start = [*control, "-o", f"{OPTIONS} -k {folder}", "-l", str(folder / "log"), "start"]
    subprocess.run(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, cwd="/tmp")
    return f"host={folder} user=tester dbname=postgres"


def connect(autocommit: bool = True) -> psycopg.Connection:
    """A connection to the server."""
    found = psycopg.connect(server(), autocommit=autocommit)
    atexit.register(found.close)
    return found

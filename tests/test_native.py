"""Compiled functions agree with their own source, and the disk cache survives whatever is found in it."""

import os
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from katamuki.backends import cache, kernel, native, vectors
from katamuki.backends.native import at, function, inline


@inline
def twice(x):
    return 2.0 * x


@function("int64(double*, int64, double*)")
def prefix_sums(x, n, out):
    total = 0.0
    rest = at(x, 1)
    for i in range(n - 1):
        total += twice(rest[i])
        out[i] = total
    return n


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


PROGRAM = """
import sys
import numpy as np
from katamuki.backends import kernel, native
scope = dict(kernel.SCOPE)
source = '''
def rows(columns, params, start, m, values, partials, want):
    c0 = at(columns[0], start)
    for i in range(m):
        put(values, i, exp(get(c0, i)) + tanh(get(c0, i)))
    return 0
'''
made = kernel.compile_source(source, "rows", native.ROWS, scope)
x = np.linspace(-1.0, 1.0, 100)
columns, out = np.array([x.ctypes.data]), np.empty(100)
made(columns.ctypes.data, 0, 0, 100, out.ctypes.data, 0, 0)
assert np.abs(out - np.exp(x) - np.tanh(x)).max() < 3e-15, out
print("katamuki.backends.compiler" in sys.modules)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entries(home: Path) -> list[Path]:
    return sorted((home / "katamuki").glob("*.o"))


def test_a_compiled_function_does_what_its_source_says():
    x = np.arange(6.0)
    out, readable = np.empty(5), np.empty(5)
    assert prefix_sums(x.ctypes.data, 6, out.ctypes.data) == 6
    prefix_sums.python(x, 6, readable)
    assert out.tolist() == readable.tolist() == [2.0, 6.0, 12.0, 20.0, 30.0]


def test_operations_of_compiled_code_refuse_to_run_elsewhere():
    with pytest.raises(TypeError, match="get"):
        native.get(np.zeros(2), 1)
    with pytest.raises(TypeError, match="address"):
        native.call_rows(0, None, None, 0, 0, None, None, 0)


def test_a_second_process_loads_without_the_compiler(home):
    assert run_python(PROGRAM, XDG_CACHE_HOME=str(home)).stdout.strip() == "True"
    assert len(entries(home)) == 1
    assert run_python(PROGRAM, XDG_CACHE_HOME=str(home)).stdout.strip() == "False"


def test_two_processes_may_compile_at_once(home):
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_python, PROGRAM, XDG_CACHE_HOME=str(home)) for _ in range(2)]
    assert [run.result().returncode for run in runs] == [0, 0]
    assert len(entries(home)) == 1
    assert not list((home / "katamuki").glob(".new-*"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign", "empty", "rubbish"])
def test_a_damaged_entry_is_replaced(home, damage):
    run_python(PROGRAM, XDG_CACHE_HOME=str(home))
    (entry,) = entries(home)
    content = bytearray(entry.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[-200] ^= 255
    elif damage == "foreign":  # a valid entry of another key under this name
        other = home / "katamuki" / "other"
        code = f"""
            from pathlib import Path
            from katamuki.backends import cache
            cache.store(b"another kernel", b"not ours")
            [new] = [p for p in cache.folder().glob("*.o") if p.name != {entry.name!r}]
            new.rename({str(other)!r})
        """
        assert run_python(code, XDG_CACHE_HOME=str(home)).returncode == 0
        content = bytearray(other.read_bytes())
    elif damage == "empty":
        content = bytearray()
    else:
        content = bytearray(os.urandom(500))
    entry.write_bytes(bytes(content))
    found = run_python(PROGRAM, XDG_CACHE_HOME=str(home))
    assert (found.returncode, found.stdout.strip()) == (0, "True"), found.stderr
    assert run_python(PROGRAM, XDG_CACHE_HOME=str(home)).stdout.strip() == "False"


def test_a_file_in_the_folders_place_costs_only_time(tmp_path):
    (tmp_path / "katamuki").write_text("in the way")
    assert run_python(PROGRAM, XDG_CACHE_HOME=str(tmp_path)).returncode == 0


def test_a_folder_that_cannot_be_written_costs_only_time(home, monkeypatch):
    """As root every folder can be written, so the failure is made where the operating system would make it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))

    def refuse(**_: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    cache.store(b"key", b"content")
    assert cache.load(b"key") is None


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_can_write_is_not_used(home, monkeypatch, mode):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    cache.store(b"key", b"content")
    assert cache.load(b"key") == b"content"
    (home / "katamuki").chmod(mode)
    assert cache.folder() is None
    assert cache.load(b"key") is None
    cache.store(b"other", b"content")
    assert len(entries(home)) == 1


def test_a_relative_cache_folder_is_ignored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache.folder() == tmp_path / "home" / ".cache" / "katamuki"
    assert not (tmp_path / "here").exists()


def test_a_folder_of_another_user_is_not_used(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    cache.store(b"key", b"content")
    facts = (home / "katamuki").stat()
    assert cache.is_private(facts)
    monkeypatch.setattr(os, "getuid", lambda: facts.st_uid + 1)
    assert cache.load(b"key") is None


def test_an_entry_that_others_can_write_is_not_used(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    cache.store(b"key", b"content")
    (entry,) = entries(home)
    entry.chmod(entry.stat().st_mode | stat.S_IWOTH)
    assert cache.load(b"key") is None


def test_another_cpu_or_version_gets_another_entry():
    made = native.function("int64(int64)")(lambda n: n)
    here = made._key()
    machine = native.machine()
    before = machine.identity
    try:
        machine.identity = before.replace(machine.llvm.get_host_cpu_name().encode(), b"another-cpu")
        assert made._key() != here
    finally:
        machine.identity = before
    assert made._key() == here


def loaded(path: Path):
    space = {"inline": inline, "__name__": path.stem}
    exec(compile(path.read_text(), str(path), "exec"), space)
    native.content.cache_clear()  # a file changes between processes, not within one
    native._file_digest.cache_clear()
    return space["helper"]


def test_another_helper_or_constant_gets_another_entry(tmp_path):
    """This used to know a printed function by its text alone, and ran what an older helper had been compiled to."""
    source, path = "def rows(x, n):\n    x[0] = helper(LIMIT)\n    return n\n", tmp_path / "helping.py"

    def key(body: str, limit: float) -> bytes:
        path.write_text(f"@inline\ndef helper(x):\n    return {body}\n")
        scope = {"helper": loaded(path), "LIMIT": limit}
        return kernel.compile_source(source, "rows", "int64(double*, int64)", scope)._key()

    assert key("x + x", 1.0) == key("x + x", 1.0)
    assert len({key("x + x", 1.0), key("x + x", 2.0), key("2.5*x", 1.0)}) == 3


def test_another_meaning_of_a_name_gets_another_entry(tmp_path):
    """A name may stand for another operation, or for another function of the same file."""
    source, path = "def rows(x, n):\n    x[0] = helper(f(x[0]))\n    return n\n", tmp_path / "helping.py"
    path.write_text("@inline\ndef helper(x):\n    return x + x\n\n\n@inline\ndef other(x):\n    return x\n")
    helper, f = loaded(path), native.Placeholder("exp")
    other = helper.__globals__["other"]

    def key(helper, f):
        return kernel.compile_source(source, "rows", "int64(double*, int64)", {"helper": helper, "f": f})._key()

    assert key(helper, f) == key(helper, native.Placeholder("exp"))
    others = (other, f), (helper, native.Placeholder("sin")), (helper, vectors.root_of)
    assert len({key(helper, f), *(key(*one) for one in others)}) == 4


def test_machine_code_is_anothers_after_an_edit_of_what_the_translator_puts_in(tmp_path, monkeypatch):
    """This used to keep code with an older exp in it."""
    before = native.Machine().identity
    content = native.content
    for name in ("exponential.py", "llvm_calls.py", "native.py"):
        monkeypatch.setattr(native, "content", lambda path, name=name: content(path) + b"#" * path.endswith(name))
        native._file_digest.cache_clear()
        assert native.Machine().identity != before
    monkeypatch.undo()
    native._file_digest.cache_clear()
    assert native.Machine().identity == before


def test_a_file_that_is_edited_meanwhile_is_compiled_as_it_was_read(home, tmp_path, monkeypatch):
    """This used to keep the new text's code under the old text's key."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    path = tmp_path / "helping.py"
    path.write_text("@inline\ndef helper(x):\n    return x + 1.0\n")
    made = native.Native(loaded(path), "double(double)")
    made._key()
    path.write_text("@inline\ndef helper(x):\n    return x + 2.0\n")
    assert made(1.0) == 2.0


def test_threads_may_compile_at_once(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))

    def made(k):
        source = f"def rows(x, n):\n    return n + {k % 3}\n"
        return kernel.compile_source(source, "rows", "int64(double*, int64)", {})(0, 5)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(made, range(12))) == [5 + k % 3 for k in range(12)]
    assert len(entries(home)) == 3


def test_without_libmvec_the_scalar_functions_give_the_same_values(home):
    hidden = """
        from katamuki.backends import vectormath
        vectormath.LIBRARY = "libmvec-is-not-here.so"
    """
    found = run_python(textwrap.dedent(hidden) + PROGRAM, XDG_CACHE_HOME=str(home))
    assert found.returncode == 0, found.stderr
    assert run_python(PROGRAM, XDG_CACHE_HOME=str(home)).stdout.strip() == "True"  # another entry: libmvec is there
    assert len(entries(home)) == 2


OLDER = """
import llvmlite.binding as llvm
lacking = {lacking!r}
features = [one for one in llvm.get_host_cpu_features().flatten().split(",") if not one.startswith(lacking)]
class Features:
    def flatten(self):
        return ",".join([*features, *("-" + one[1:] for one in lacking)])
llvm.get_host_cpu_features = Features
llvm.get_host_cpu_name = lambda: {name!r}
"""


@pytest.mark.parametrize(
    ("name", "lacking", "lanes"),
    [("haswell", ("+avx512", "+evex512"), [4]), ("x86-64", ("+avx", "+fma", "+evex512"), [])],
)
def test_older_processors_get_the_versions_that_they_have(home, name, lacking, lanes):
    said = "\nfrom katamuki.backends import native\nprint(sorted(native.machine().lanes.values()))"
    exact = tuple(one for one in lacking if one != "+avx512") + ("+avx512f",) * ("+avx512" in lacking)
    program = OLDER.format(lacking=exact, name=name).replace("startswith(lacking)", f"startswith({lacking!r})")
    found = run_python(program + PROGRAM + said, XDG_CACHE_HOME=str(home))
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("\n")[1] == str(lanes)

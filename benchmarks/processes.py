"""What a user of the command line waits for: import, help, and the tutorial's fit with its check, as processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from timing import limit_row

PROGRAM = str(Path(sys.executable).with_name("katamuki"))
TUTORIAL = str(Path(__file__).parent.parent / "examples" / "tutorial.csv")
IMPORT = """
import sys, time
began = time.perf_counter()
import katamuki
spent = time.perf_counter() - began
assert "numpy" not in sys.modules
print(spent)
"""


def wall(command: list[str], rounds: int = 11) -> float:
    """Median seconds of a process from start to end; the first run, which fills the caches, is not counted."""
    found = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - began)
    return median(found[1:])


if __name__ == "__main__":
    python = wall([sys.executable, "-c", "pass"])
    spent = [
        float(subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True).stdout)
        for _ in range(11)
    ]
    start = f"{python:.3f} s"
    limit_row("import katamuki (no numpy)", "wall time", median(spent), "s", 0.05)
    limit_row("katamuki --help", "wall time of the process", wall([PROGRAM, "--help"]), "s", 0.10, python=start)
    fit = [PROGRAM, "fit", "y ~ a*x + b", TUTORIAL]
    limit_row("katamuki fit, tutorial, with check", "wall time of the process", wall(fit), "s", 1.0, python=start)

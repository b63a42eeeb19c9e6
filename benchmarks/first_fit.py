"""The first fit of a formula that this machine never saw, in a process that has fitted another: parsing, compiling."""

from __future__ import annotations

import os
import tempfile
import time
from statistics import median

import numpy as np
from timing import limit_row

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # an empty cache: nothing was compiled before
        import katamuki as km

        x = np.linspace(0.0, 4.0, 100)
        y = 2.5 * np.exp(-1.3 * x) + 0.5 + 0.05 * np.random.default_rng(1).standard_normal(100)
        data = {"x": x, "y": y}
        found = []
        for k in range(8):
            formula = f"y ~ a*exp(-b*x) + c + 0.0{k}1*cos(x)"
            began = time.perf_counter()
            km.fit(formula, data, start={"a": 1.0, "b": 1.0, "c": 0.0}, starts=1)
            found.append(time.perf_counter() - began)
    limit_row(
        "first fit of a new formula, warm process",
        "wall time",
        median(found[1:]),
        "s",
        0.5,
        first_of_all=f"{found[0]:.2f} s",
    )

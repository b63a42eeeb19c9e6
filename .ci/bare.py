"""The tutorial's fit in an environment that holds the wheel and its dependencies, and nothing else."""

import importlib.util
import json
import subprocess
import sys
import time

for name in ("torch", "pandas", "polars", "sklearn", "pytest", "hypothesis"):
    assert importlib.util.find_spec(name) is None, f"{name} is installed: this environment is not bare"

began = time.perf_counter()
import katamuki as km  # noqa: E402

spent = time.perf_counter() - began
assert "site-packages" in km.__file__, km.__file__
assert "numpy" not in sys.modules, "import katamuki imported numpy"
print(f"katamuki {km.__version__} from the wheel, imported in {spent:.3f} s")

csv = subprocess.run(["katamuki", "data", "tutorial"], capture_output=True, check=True).stdout
done = subprocess.run(["katamuki", "fit", "y ~ a*x + b", "--json"], input=csv, capture_output=True, check=False)
assert done.returncode == 0, done.stderr.decode()
found = json.loads(done.stdout)
for name, true in {"a": 0.5000909090909091, "b": 3.0000909090909091}.items():
    value = found["params"][name]["value"]
    assert abs(value / true - 1) < 1e-14, (name, value)
assert found["check"]["verdict"] == "PASS", found["check"]

fit = km.fit(lambda x, a, b: a * x + b, km.datasets("tutorial"))
assert abs(fit.params["a"] / 0.5000909090909091 - 1) < 1e-14, fit.params
print(fit)

"""What all tests share: seeded properties without deadlines, one thread for torch, no window for pictures."""

import os

# Torch with two threads beside another test on the same two cores is a hundred times slower than with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
for name in ("NO_COLOR", "FORCE_COLOR", "KATAMUKI_DEBUG"):
    os.environ.pop(name, None)  # what is printed must not depend on who runs the tests

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "katamuki",
    derandomize=True,  # the same examples in every run
    deadline=None,  # nothing is tested by the clock
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("katamuki")

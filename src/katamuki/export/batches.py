"""The lines of a program whose steps take mini-batches: PyTorch's loader, or its order of rows by NumPy alone.

Both deal the rows that the run took: ``DataLoader(…, shuffle=True)`` with the run's seed, epoch after epoch
(:mod:`katamuki.problem.batches`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from katamuki.errors import BackendError
from katamuki.export.parts import Exported, indented, say
from katamuki.problem.batches import WIDE

TORCH_NAMES = {"itertools", "data", "batches", "dealt", "epoch", "rows"}
NUMPY_NAMES = {"engine", "shuffled", "order", "place", "batch", "drawn", "here", "other", "count"}


class Dealing(NamedTuple):
    """Lines before the loop, at the head of its body, and after it."""

    before: list[str]
    inside: list[str]
    after: list[str]


def size_of(facts: Exported) -> int | None:
    """Rows of a step's batch; None where every step takes all."""
    found: int | None = getattr(facts.solver, "batch_size", None)
    return found


def by_loader(facts: Exported, tensors: Sequence[str]) -> Dealing:
    """PyTorch's own loader over the tensors of these names."""
    size = size_of(facts)
    if size is None:
        return Dealing([], [], [])
    if facts.solution.device != "cpu":
        raise BackendError("E-EXPORT", "export.batches_device", device=facts.solution.device)
    seed = facts.seed if -(2**63) <= facts.seed < 2**64 else facts.seed & 0xFFFFFFFF  # its low 32 bits are all it takes
    generator = f"torch.Generator().manual_seed({seed})"
    names = ", ".join(tensors) + ("," if len(tensors) == 1 else "")
    return Dealing(
        [
            f"data = torch.utils.data.TensorDataset({', '.join(tensors)})",
            "batches = torch.utils.data.DataLoader(",
            f"    data, batch_size={size}, shuffle=True, generator={generator}",
            ")",
            "dealt = (rows for epoch in itertools.count() for rows in batches)",
        ],
        [f"{names} = next(dealt)"],
        [f"{names} = data.tensors  # {say('all_rows')}"],
    )


def by_hand(facts: Exported) -> Dealing:
    """The loader's order of rows with NumPy: ``batch`` holds a step's rows."""
    size = size_of(facts)
    if size is None:
        return Dealing([], [], [])
    n = facts.solution.n
    assert n < WIDE  # programs hold far fewer rows
    per_epoch = -(-n // size)
    function = [
        f'"""{say("shuffled")}"""',
        "engine.randint(0, 2**32, 2, dtype=np.uint32)",
        "drawn = engine.randint(0, 2**32, count - 1, dtype=np.uint32).tolist()",
        "engine.randint(0, 2**32, count - 1, dtype=np.uint32)",
        "order = list(range(count))",
        "for here in range(count - 1):",
        "    other = here + drawn[here] % (count - here)",
        "    order[here], order[other] = order[other], order[here]",
        "return np.array(order)",
    ]
    return Dealing(
        [
            f"engine = np.random.RandomState({facts.seed & 0xFFFFFFFF})",
            "\n\ndef shuffled(count):\n" + indented(function),
        ],
        [
            f"place = (step - 1) % {per_epoch}",
            f"order = shuffled({n}) if place == 0 else order",
            f"batch = order[{size} * place : {size} * (place + 1)]",
        ],
        [],
    )

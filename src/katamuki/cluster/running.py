"""Work sent to the workers, and waiting for it: never for ever, and with an error that says what to do.

Dask does again what a dead worker had done or was doing. What it cannot mend ends here: no worker is left, a task kills
every worker that takes it, the scheduler is gone, or a worker raised an error. Results are merged in a fixed tree, so
that bits do not depend on who did what when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from katamuki.data.names import printable
from katamuki.errors import BackendError, DataError, KatamukiError

BEAT = 0.5  # seconds between two looks at the workers
PATIENCE = 15.0  # seconds without a worker after which nobody waits any longer
FAN = 32  # results that are merged at a time
HERE = 64  # results that are brought here: so few are here sooner than merged there
LOST = ("cancelled", "lost")
Merge = Callable[[list[Any]], Any]


def each(
    client: Any, function: Callable[..., Any], things: Sequence[Any], *more: Sequence[Any], **same: Any
) -> list[Any]:
    """``function(thing, …)`` for each thing on the workers, as futures; things are values, futures or delayed.

    ``more`` are further arguments of each, ``same`` those of all.
    """
    if not things:
        return []
    from dask import delayed, is_dask_collection

    if is_dask_collection(things[0]):
        call, shared = delayed(function, pure=False), {name: delayed(one) for name, one in same.items()}
        made = [call(*one, **shared) for one in zip(things, *more, strict=True)]
        return list(client.compute(made, optimize_graph=False))
    return list(client.map(function, list(things), *map(list, more), pure=False, **same))


def reduced(client: Any, futures: Sequence[Any], merge: Merge) -> Any:
    """All results as one, merged in a tree of fixed shape, by the workers as long as there are many."""
    while len(futures) > HERE:
        futures = [client.submit(merge, group, pure=False) for group in _groups(futures)]
    found = gathered(client, futures)
    while len(found) > FAN:
        found = [merge(group) for group in _groups(found)]
    return merge(found)


def _groups(things: Sequence[Any]) -> list[list[Any]]:
    return [list(things[k : k + FAN]) for k in range(0, len(things), FAN)]


def gathered(client: Any, futures: Sequence[Any], deadline: float | None = None) -> list[Any]:
    """The results of futures, in their order.

    Parameters
    ----------
    client : distributed.Client
        Who has them.
    futures : sequence of Future
        All that are waited for.
    deadline : float, optional
        A time of ``time.monotonic`` after which a ``TimeoutError`` is raised.

    Returns
    -------
    list
        One result each.

    Raises
    ------
    KatamukiError
        As a worker raised it; or ``BackendError`` where the cluster cannot do the work.
    """
    futures = list(futures)
    try:
        waited(client, futures, deadline)
        return list(client.gather(futures))
    except (KatamukiError, TimeoutError):
        cancelled(client, futures)
        raise
    except Exception as error:
        cancelled(client, futures)
        raise meant(error, client) from error
    except BaseException:  # Ctrl-C: nobody wants the work any longer
        cancelled(client, futures)
        raise


def waited(client: Any, futures: Sequence[Any], deadline: float | None = None) -> None:
    """Wait until all futures are done, or one has failed."""
    from distributed import wait

    alone: float | None = None  # since when there is no worker
    while True:
        left = BEAT if deadline is None else min(BEAT, max(deadline - time.monotonic(), 0.01))
        try:
            with client.as_current():
                wait(futures, timeout=left)
            return
        except TimeoutError:
            if any(one.status == "error" or one.status in LOST for one in futures):
                return
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError
        alone = None if workers(client) else (alone or time.monotonic())
        if alone is not None and time.monotonic() - alone > PATIENCE:
            raise nobody(client)


def workers(client: Any) -> int:
    """How many workers there are; an error where the scheduler is gone."""
    return int(facts(client)["n_workers"])


def facts(client: Any) -> Mapping[str, Any]:
    """What the scheduler says of the cluster: ``n_workers``, ``total_threads``, ``total_memory`` in bytes."""
    if client.status != "running":
        raise gone()
    try:
        found: Mapping[str, Any] = client.scheduler_info(n_workers=1)
    except Exception as error:
        raise meant(error, client) from error
    if not found:
        raise gone()
    return found


def ready(client: Any) -> Mapping[str, Any]:
    """Wait a while for the first worker; what the scheduler says once there is one."""
    began = time.monotonic()
    while not (found := facts(client))["n_workers"]:
        if time.monotonic() - began > PATIENCE:
            raise nobody(client)
        time.sleep(BEAT / 2)
    return found


def nobody(client: Any) -> BackendError:
    """The error that there is no worker."""
    address = getattr(client.scheduler, "address", None) or "tcp://scheduler:8786"
    return BackendError("E-CLUSTER", "cluster.no_workers", seconds=f"{PATIENCE:g}", address=address)


def gone() -> BackendError:
    """The error that the scheduler cannot be reached."""
    return BackendError("E-CLUSTER", "cluster.gone")


def meant(error: Exception, client: Any) -> KatamukiError:
    """What an error of the cluster, or of something that ran there, means to whoever called a fit."""
    names = {one.__name__ for one in type(error).__mro__}
    cause = printable(" ".join(f"{type(error).__name__}: {error}".split())[:300])
    if "KilledWorker" in names:
        times = int(getattr(error, "allowed_failures", 0)) + 1
        return BackendError("E-CLUSTER", "cluster.killed", times=times)
    if "MemoryError" in names:
        return BackendError("E-CLUSTER", "cluster.memory", cause=cause)
    if client.status != "running" or "scheduler-connection-lost" in str(error) or names & {"CommClosedError"}:
        return gone()
    if "CancelledError" in names:
        return BackendError("E-CLUSTER", "cluster.lost", cause=cause)
    if isinstance(error, ModuleNotFoundError):
        return BackendError("E-CLUSTER", "cluster.no_package", name=str(error.name))
    return DataError("E-CLUSTER", "cluster.failed", cause=cause)


def same_version(here: str) -> None:
    """Refuse to work for another version of katamuki: bits would differ between workers."""
    if own_version() != here:
        raise BackendError("E-CLUSTER", "cluster.version", here=here, there=own_version())


@cache
def own_version() -> str:
    """The version of this katamuki; looked up once, since that is the reading of a file."""
    from importlib.metadata import version

    return version("katamuki")


def cancelled(client: Any, futures: Iterable[Any]) -> None:
    """Nobody wants this work any longer."""
    if client.status == "running":
        with suppress(Exception):  # it may go away meanwhile
            client.cancel(list(futures))

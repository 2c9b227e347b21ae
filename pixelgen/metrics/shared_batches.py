"""Work on batches of rows, which several processes can share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

from pixelgen.errors import PixelgenError

T = TypeVar("T")

_place: ContextVar[tuple[int, int]] = ContextVar("place", default=(0, 1))
_CONNECTING = timedelta(minutes=5)
_WAITING = timedelta(hours=2)


@contextmanager
def shared_among(rank: int, count: int) -> Iterator[None]:
    """A context in which `in_batches` computes only the share of process `rank` of `count`, and
    gives all of them the whole result. The processes find each other by MASTER_ADDR and
    MASTER_PORT, as launchers set them, and must make the same calls in the same order.

    Raises PixelgenError where the others cannot be reached.
    """
    if count == 1:
        yield
        return
    from torch import distributed

    if not distributed.is_available():
        raise PixelgenError(
            "this build of torch cannot connect processes", "run a single process instead"
        )
    try:
        store, _, _ = next(
            distributed.rendezvous("env://", rank=rank, world_size=count, timeout=_CONNECTING)
        )
        distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=count, timeout=_WAITING
        )
    except (RuntimeError, ValueError) as error:
        raise _lost(error, "unset RANK and WORLD_SIZE to run a single process") from error
    token = _place.set((rank, count))
    try:
        yield
    finally:
        _place.reset(token)
        distributed.destroy_process_group()


def in_batches(
    total: int,
    batch: int,
    compute: Callable[[slice], T],
    progress: Callable[[int, int], None] | None = None,
) -> list[T]:
    """`compute(rows)` of `batch` of `total` rows at a time: all results in order, on the CPU. Which
    rows are computed together does not depend on the number of processes, nor do the results then.
    `progress(done, total)` is called after every batch of this process."""
    rank, count = _place.get()
    starts = range(0, total, batch)
    parts: dict[int, T] = {}
    for start in starts[rank::count]:
        parts[start] = compute(slice(start, min(start + batch, total)))
        if progress is not None:
            progress(min(start + batch, total), total)
    if count > 1 and total:
        parts = {start: part for some in _of_all(parts, count) for start, part in some.items()}
    return [parts[start] for start in starts]


def by_first_process(compute: Callable[[], T]) -> T:
    """What `compute()` gives, for work that cannot be shared: only the first process does it."""
    rank, count = _place.get()
    if count == 1:
        return compute()
    found: T = _of_all(compute() if rank == 0 else None, count)[0]
    return found


def _of_all(value: Any, count: int) -> list[Any]:
    """The `value` of every process."""
    from torch import distributed

    values: list[Any] = [None] * count
    try:
        distributed.all_gather_object(values, value)
    except (RuntimeError, ValueError) as error:
        raise _lost(error) from error
    return values


def _lost(error: Exception, hint: str = "") -> PixelgenError:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return PixelgenError(f"lost the other processes: {why}", hint)

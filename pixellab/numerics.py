"""Where and how exactly numbers are computed."""

import contextlib
from collections.abc import Iterator

import torch


def devices() -> list[str]:
    """The devices that are here, the fastest first: of cuda, mps, cpu."""
    here = {"cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name in here if here[name]]


def device_named(name: str | torch.device | None) -> str:
    """That device; None takes the fastest. ValueError if it is not here."""
    chosen = str(name or devices()[0])
    if chosen.split(":")[0] not in devices():
        raise ValueError(f"there is no {chosen} device here: use cpu")
    return chosen


@contextlib.contextmanager
def exactly() -> Iterator[None]:
    """One thread, no autocast, full precision: the sums that every process
    on this machine gets. Others round differently: a file would not decode."""
    threads, precision = (torch.get_num_threads(),
                          torch.get_float32_matmul_precision())
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)

"""A client of a daemon's, libvirt's own, and how long what it asks takes."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peers import Served
from tests.libvirt_python import load


@contextmanager
def connected(served: Served) -> Iterator[Any]:
    """A connection of libvirt-python's."""
    connection = load().open(served.uri)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Add how many milliseconds it took."""
    began = time.perf_counter()
    yield
    into.append((time.perf_counter() - began) * 1000)


def ask_often(ask: Callable[[], object], rounds: int) -> float:
    """Return the median milliseconds of so many rounds, after one that warms up."""
    took: list[float] = []
    ask()
    for _ in range(rounds):
        with timed(took):
            ask()
    return statistics.median(took)


def answers(ask: Callable[[], object]) -> bool:
    """Whether a daemon has an answer at all: libvirt's own driver for containers lacks some."""
    libvirt = load()
    try:
        ask()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return False
        raise
    return True

"""Sites made for one step, in tests."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from insula.engine.facts import Facts
from insula.engine.interfaces import InterfacePerformer
from insula.engine.steps.host.hoststep import HostContext, HostStep, Undo
from insula.kernel.cgroups import Hierarchies
from insula.kernel.fds import Fd

FACTS = Facts(
    hierarchies=Hierarchies(v2="/nowhere"),
    kernel="6.12",
    pids_max=32768,
    chosen_pids=True,
    detached_layers=True,
    device_nodes=True,
    time_namespaces=True,
    keyrings=True,
    filesystems=frozenset({"tmpfs", "mqueue"}),
)


async def no_netlink() -> Fd:
    raise AssertionError("nobody was to fetch a netlink socket")


def context(facts: Facts = FACTS, performer: InterfacePerformer | None = None) -> HostContext:
    return HostContext(facts=facts, performer=performer, identity=4711, fetch_netlink=no_netlink)


def site_of_process(directory: Path) -> HostContext:
    """Return a context whose child's /proc directory is this one."""
    made = context()
    made.process = Fd(os.open(directory, os.O_PATH | os.O_DIRECTORY))
    return made


def perform(step: HostStep, at: HostContext) -> Undo | None:
    return asyncio.run(step.perform(at))


def take_back(undo: Undo | None) -> None:
    assert undo is not None

    async def run() -> None:
        await undo()

    asyncio.run(run())


class Offload:
    """Performs what it is given, and keeps count."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, function: Callable[[], Any]) -> Any:
        self.count += 1
        return function()

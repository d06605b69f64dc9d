"""Sites made for one step, in tests."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from insula.engine.facts import Facts
from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.launch.holdings import Holding
from insula.engine.launch.release import Release
from insula.engine.steps.host.hoststep import HostContext, HostStep
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
    return HostContext(facts=facts, performer=performer, identity=4711, launch="a1", fetch_netlink=no_netlink)


def site_of_process(directory: Path) -> HostContext:
    """Return a context whose child's /proc directory is this one."""
    made = context()
    made.process = Fd(os.open(directory, os.O_PATH | os.O_DIRECTORY))
    return made


def perform(step: HostStep, at: HostContext) -> tuple[Holding, ...]:
    return asyncio.run(step.perform(at))


def take_away(held: tuple[Holding, ...], at: HostContext) -> None:
    """Take away what a step left, as the end of its container would."""
    release = Release(hierarchies=at.facts.hierarchies, interfaces=at.performer, offload=at.offload)
    assert asyncio.run(release.walk(held, at.launch)) == []


class Offload:
    """Performs what it is given, and keeps count."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, function: Callable[[], Any]) -> Any:
        self.count += 1
        return function()

"""A launcher over a keeper and control groups that only pretend."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from insula.engine.facts import Facts
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Interface
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.holdings import ControlGroup
from insula.engine.launch.launcher import Launcher
from insula.engine.launch.runningcontainer import ContainerRecord, Running, boot_id
from insula.engine.plan import planner
from insula.engine.plan.plan import LaunchPlan
from insula.kernel.fds import Fd, memory_file
from insula.kernel.process import start_time
from tests.nolinks import NoLinks
from tests.unit.engine.fakes import GROUP, SPEC, DoGroup, FakeKeeper, fake_groups, null, plan_of, things

CONNECTED = ConnectedInterface(guest="eth0", host="vnet0", host_index=3, bridge=None, mac="52:54:00:00:00:01")


def record_of(pid: int, **changes: Any) -> ContainerRecord:
    record = ContainerRecord(
        spec=SPEC,
        id=pid,
        pid=pid,
        born=start_time(pid),
        boot=boot_id(),
        group=GROUP,
        holdings=(ControlGroup(path=GROUP),),
    )
    return replace(record, **changes)


@dataclass(kw_only=True, slots=True)
class Network(NoLinks):
    """Remembers what is to be disconnected."""

    disconnected: list[ConnectedInterface] = field(default_factory=list)

    async def connect(
        self, interfaces: Sequence[Interface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        raise AssertionError("no plan of this file connects interfaces")

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        self.disconnected += connected


@dataclass(kw_only=True, slots=True)
class Desk:
    """A launcher, the keeper it asks, and what plans are made for it."""

    keeper: FakeKeeper
    launcher: Launcher
    network: Network
    planned: list[LaunchPlan]

    @property
    def journal(self) -> list[str]:
        return self.keeper.world.journal

    def launch(self, **options: Any) -> Running:
        return completed(self.launcher.launch(SPEC, **options))

    def running(self, pid: int | None = None, **changes: Any) -> Running:
        """Return a handle as a launch would; of the test's own process unless pid says otherwise."""
        record = record_of(self.keeper.pid if pid is None else pid, **changes)
        pidfd = Fd(os.pidfd_open(record.pid))
        return Running(record=record, group=record.group_in(self.launcher.facts.hierarchies), pidfd=pidfd)

    def holds(self, phase: str, status: int | None = None) -> None:
        """Have the keeper hold the container, with two consoles of which one has said something."""
        self.keeper.answers[Verb.FETCH] = [{"pid": self.keeper.pid, "state": phase, "status": status}]
        self.keeper.fds[Verb.FETCH] = lambda: {
            "pidfd": Fd(os.pidfd_open(self.keeper.pid)),
            "console0": null(),
            "console1": null(),
            "ring1": memory_file("ring", b"Debian GNU/Linux"),
        }


def spare_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no kill of a container reach the test's own process, which stands for most of them."""
    send = signal.pidfd_send_signal

    def sent(pidfd: int, number: int) -> None:
        if number != signal.SIGKILL or f"Pid:\t{os.getpid()}\n" not in Path(f"/proc/self/fdinfo/{pidfd}").read_text():
            send(pidfd, number)

    monkeypatch.setattr(signal, "pidfd_send_signal", sent)


def desk_of(monkeypatch: pytest.MonkeyPatch, facts: Facts, **options: Any) -> Desk:
    """Return a launcher for a host of these facts, whose plans have one step; options: of the launcher."""
    keeper, network = FakeKeeper(), Network()
    fake_groups(monkeypatch, keeper.world.journal)
    things(monkeypatch)
    spare_ourselves(monkeypatch)
    planned = [plan_of(before=(DoGroup(why="-", name="group", world=keeper.world),))]
    monkeypatch.setattr(planner, "plan", lambda spec, facts: planned[0])
    launcher = Launcher(facts=facts, link=keeper, interfaces=network, **options)
    return Desk(keeper=keeper, launcher=launcher, network=network, planned=planned)

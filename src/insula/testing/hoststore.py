"""A fake host in a directory, so that it outlives the process that it was in: for daemons that are killed in earnest.

What is written is what a kernel and a keeper would still know: processes, groups, who is held, and how others ended.
Terminals, and what is limited beside memory and shares, are gone with the process.
"""

import json
from pathlib import Path
from typing import Any

from insula.engine.keeper.held import StartPhase
from insula.kernel.fds import NO_FD
from insula.testing.fakegroups import FakeGroup
from insula.testing.fakeheld import FakeClient, FakeHeld
from insula.testing.fakehost import FakeHost
from insula.testing.fakeprocess import FakeProcess

_FILE = "host.json"
_OF_A_PROCESS = ("pid", "born", "uuid", "launch", "group", "execution", "executed")
_OF_THE_HELD = ("uuid", "launch", "pid", "born", "execution", "foreign", "adopted", "status")


def save(host: FakeHost, directory: Path) -> None:
    """Write down a host whose daemon has left its keeper."""
    host.settle()
    state = {
        "boot": host.boot,
        "pids": host.pids,
        "births": host.births,
        "processes": [_of(each, _OF_A_PROCESS) for each in host.processes.values()],
        "groups": [_group(each) for each in host.groups.values()],
        "ended": [[*key, status] for key, status in host.ended.items()],
        "held": None if host.keeper is None else [_held(each) for each in host.keeper.all_held()],
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _FILE).write_text(json.dumps(state))


def load(directory: Path) -> FakeHost:
    """Return the host that was written down, a new one if none was."""
    host = FakeHost()
    if not (directory / _FILE).exists():
        return host
    state = json.loads((directory / _FILE).read_text())
    host.boot = state["boot"]
    for group in state["groups"]:
        _make(host, **group)
    for process in state["processes"]:
        host.revive(FakeProcess(ending=NO_FD, **process))
    host.ended = {(pid, born): status for pid, born, status in state["ended"]}
    if state["held"] is not None:
        for held in state["held"]:
            _hold(host, **held)
    host.pids, host.births = state["pids"], state["births"]
    return host


def _of(thing: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}


def _group(group: FakeGroup) -> dict[str, Any]:
    limits = {"memory": group.memory.limits, "shares": group.cpu.shares}
    return {"path": group.path, "maker": group.maker, "label": group.label, "frozen": group.frozen, **limits}


def _make(
    host: FakeHost,
    *,
    path: str,
    maker: str | None,
    label: dict[str, Any] | None,
    frozen: bool,
    memory: dict[str, int],
    shares: int,
) -> None:
    group = host.make_group(path, maker=maker)
    group.label, group.frozen = label, frozen
    group.memory.limits, group.cpu.shares = memory, shares


def _held(held: FakeHeld) -> dict[str, Any]:
    return {"phase": held.phase.name, **_of(held, _OF_THE_HELD)}


def _hold(host: FakeHost, *, phase: str, **fields: Any) -> None:
    process = host.processes.get(fields["pid"])
    held = FakeHeld(
        process=process or FakeProcess.gone(fields["pid"], fields["born"], fields["uuid"]),
        phase=StartPhase[phase],
        requester=FakeClient(tell=lambda body, fds: None, lost=lambda: None),
        **fields,
    )
    if held.phase is StartPhase.HELD and process is not None:
        held.channel = host.hold(process)
    host.start_keeper().take(held)

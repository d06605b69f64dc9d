"""What the looker does inside guests: a table of functions, each with what it may do at most.

A look's function takes JSON-able arguments and descriptors by name, and returns a JSON-able value; an OSError travels
as one. A generator says what it yields, each a JSON-able object, before its result. It runs in a process of its own
that may be killed at any moment, so it makes one change at most, as its last act, unless what it changes is what it was
called for. What it reads was written by the guest.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from insula.engine.dump.corelook import take_core
from insula.engine.dump.treelook import dump_tree
from insula.engine.guestinit import InitProcess, PowerAction, Way, detect, request
from insula.engine.look.accesslooks import read_keys, set_password, write_keys
from insula.engine.look.commandlook import read_commands
from insula.engine.look.filelooks import read_file, write_file
from insula.engine.look.holderlook import find_holders
from insula.engine.look.mountlook import measure_mounts, sync_mounts, trim_mounts
from insula.engine.look.portlook import connect_port
from insula.engine.look.runningroot import account_inside, open_root
from insula.engine.look.systemdlook import ask_systemd
from insula.engine.look.systemlook import tell_system
from insula.engine.look.tracelook import trace_calls
from insula.engine.look.visit import ENTERING, VISITING
from insula.engine.runitfiles import mark_stop
from insula.engine.spec import InitKind
from insula.kernel.fds import Fd

Function = Callable[[Mapping[str, Any], Mapping[str, Fd]], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A function, and what the process that performs it has: capabilities, and seconds of processor time."""

    function: Function
    capabilities: frozenset[str]
    seconds: int = 10


def ask_init(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, Any]:
    """pid, kind, argv, actions, ways; fd init, a pidfd → kind as it is found now, answer; see `guestinit.request`."""
    init = InitProcess(pid=arguments["pid"], pidfd=fds["init"], kind=InitKind(arguments["kind"]))
    if init.kind is InitKind.PLAIN:
        # Looked at as it is now: an upgrade inside may have brought another one.
        init = InitProcess(pid=init.pid, pidfd=init.pidfd, kind=_kind_of(init, arguments["argv"]))
    actions = [PowerAction(each) for each in arguments["actions"]]
    ways = [Way(each) for each in arguments["ways"]]
    if init.kind is InitKind.RUNIT and ways != [Way.FIFO]:
        _mark_runit(init, reboot=actions[0] is PowerAction.REBOOT)
    return {"kind": init.kind.value, "answer": request(init, actions, ways).value}


def _kind_of(init: InitProcess, argv: list[str]) -> InitKind:
    root = open_root(init.pid, init.pidfd)
    try:
        return detect(root, argv)
    finally:
        os.close(root)


def _mark_runit(init: InitProcess, *, reboot: bool) -> None:
    """Write what runit is asked for into its files, as the user who is the guest's root, and stay that one."""
    root = open_root(init.pid, init.pidfd)
    try:
        owner = os.stat(f"/proc/{init.pid}")
        os.setgroups([])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
        mark_stop(root, reboot=reboot)
    finally:
        os.close(root)


def find_account(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> list[Any]:
    """pid, user, group; fd init, a pidfd → uid, gid, groups, home, name, shell; see `accounts.find_account`."""
    return list(account_inside(arguments["pid"], fds["init"], arguments["user"], arguments["group"]))


_READING = frozenset({"dac_override", "dac_read_search", "sys_ptrace"})
"""To open what the guest's users own, and /proc/PID/root."""

_ENDLESS = 1 << 30
"""As long as the content of a file takes: who asked for it sees whether it moves."""

LOOKS: Mapping[str, Look] = {
    "find-account": Look(function=find_account, capabilities=_READING),
    "ask-init": Look(function=ask_init, capabilities=_READING | {"kill", "setgid", "setuid"}),
    "read-commands": Look(function=read_commands, capabilities=frozenset()),
    "find-holders": Look(function=find_holders, capabilities=_READING),
    "dump-tree": Look(function=dump_tree, capabilities=_READING, seconds=_ENDLESS),
    "trace-calls": Look(function=trace_calls, capabilities=_READING, seconds=_ENDLESS),
    "read-file": Look(function=read_file, capabilities=ENTERING, seconds=_ENDLESS),
    "write-file": Look(function=write_file, capabilities=ENTERING, seconds=_ENDLESS),
    "take-core": Look(function=take_core, capabilities=ENTERING, seconds=_ENDLESS),
    "set-password": Look(function=set_password, capabilities=VISITING),
    "read-keys": Look(function=read_keys, capabilities=VISITING),
    "write-keys": Look(function=write_keys, capabilities=VISITING),
    "set-password-inside": Look(function=set_password, capabilities=ENTERING),
    "read-keys-inside": Look(function=read_keys, capabilities=ENTERING),
    "write-keys-inside": Look(function=write_keys, capabilities=ENTERING),
    "connect-port": Look(function=connect_port, capabilities=ENTERING),
    "tell-system": Look(function=tell_system, capabilities=ENTERING),
    "ask-systemd": Look(function=ask_systemd, capabilities=ENTERING),
    "measure-mounts": Look(function=measure_mounts, capabilities=ENTERING),
    "sync-mounts": Look(function=sync_mounts, capabilities=ENTERING),
    "trim-mounts": Look(function=trim_mounts, capabilities=_READING | {"sys_admin"}),
}

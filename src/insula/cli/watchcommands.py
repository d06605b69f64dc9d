"""Verbs that wait for what happens: events, wait."""

import argparse
import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from insula.cli.infocommand import goes_without_saying
from insula.cli.lookup import domain
from insula.cli.render import exit_words, show_error, show_line
from insula.errors import InsulaError, OperationFailedError, OperationTimeoutError
from insula.model.domainstates import (
    CrashedDetail,
    DefinedDetail,
    LifecycleKind,
    ResumedDetail,
    ShutdownDetail,
    StartedDetail,
    StoppedDetail,
    SuspendedDetail,
    UndefinedDetail,
)
from insula.model.numbers import MemoryFailureAction, WatchdogAction
from insula.rpc.codes.eventcodes import DomainEventId
from insula.rpc.connection import Notification
from insula.sdk import bootverbs, verbs
from insula.sdk.blocking_domains import Domain, Host
from insula.sdk.values import ExecRequest, Outcome

WATCHED = (
    DomainEventId.LIFECYCLE,
    DomainEventId.REBOOT,
    DomainEventId.WATCHDOG,
    DomainEventId.BALLOON_CHANGE,
    DomainEventId.TUNABLE,
    DomainEventId.JOB_COMPLETED,
    DomainEventId.MEMORY_FAILURE,
    DomainEventId.DEVICE_ADDED,
    DomainEventId.DEVICE_REMOVED,
    DomainEventId.DEVICE_REMOVAL_FAILED,
    DomainEventId.METADATA_CHANGE,
    DomainEventId.VCPU_REMOVED,
)
_DETAILS = {
    LifecycleKind.DEFINED: DefinedDetail,
    LifecycleKind.UNDEFINED: UndefinedDetail,
    LifecycleKind.STARTED: StartedDetail,
    LifecycleKind.SUSPENDED: SuspendedDetail,
    LifecycleKind.RESUMED: ResumedDetail,
    LifecycleKind.STOPPED: StoppedDetail,
    LifecycleKind.SHUTDOWN: ShutdownDetail,
    LifecycleKind.CRASHED: CrashedDetail,
}
_WATCHDOG_ACTIONS = {int(each): each.name.lower() for each in WatchdogAction}
_KIND_OF_METADATA = ("description", "title", "element")

_BOOT_POLL_SECONDS = 0.25
_ASKING_SECONDS = 10.0
"""What a guest gets to answer once."""
_ASKING_SECONDS_LEAST = 1.0
_KILLED_SECONDS = 1.0
"""In which what was killed has ended, unless the guest keeps it."""
_UP = frozenset({"running", "degraded"})
_ON_THE_WAY = frozenset({"initializing", "starting", "offline", "unknown", ""})
"""What systemctl says of a system that is not up yet; nothing where its manager cannot be asked yet."""


# events


def _events_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", nargs="?", help="name, id or UUID (default: all domains)")
    parser.add_argument("-n", "--count", type=int, help="end after so many")
    parser.add_argument("-t", "--time", type=float, help="end when none has come for so many seconds")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")


def _events(options: argparse.Namespace, host: Host) -> int:
    which = None if options.domain is None else domain(host, options.domain).ref
    for each in WATCHED:
        host.client.run(verbs.register(each, which))
    told = 0
    while options.count is None or told < options.count:
        message = host.client.next_message(options.time)
        if message is None:
            return 0
        event = described(message)
        if event is None:
            continue
        told += 1
        if options.json:
            print(json.dumps(event), flush=True)
        else:
            rest = " ".join(f"{name}={value}" for name, value in event["details"].items())
            show_line(f"{event['time']}  {event['domain']}  {event['event']}  {rest}".rstrip(), now=True)
    return 0


def described(message: Notification) -> dict[str, Any] | None:
    """What a message says, as JSON values; None for one that this version does not know."""
    name = message.procedure.name.removeprefix("DOMAIN_EVENT_CALLBACK_")
    values = message.values.msg if "msg" in message.values._fields else message.values
    details: Mapping[str, Any] = {}
    match name:
        case "LIFECYCLE":
            try:
                kind = LifecycleKind(values.event)
                details = {"detail": _words(_DETAILS[kind](values.detail).name)} if kind in _DETAILS else {}
            except ValueError:
                return None
            name = kind.name
        case "WATCHDOG":
            details = {"action": _WATCHDOG_ACTIONS.get(values.action, values.action)}
        case "BALLOON_CHANGE":
            details = {"memory": values.actual * 1024}
        case "DOMAIN_EVENT_MEMORY_FAILURE":
            name, details = "MEMORY_FAILURE", {"fatal": values.action == MemoryFailureAction.FATAL}
        case "JOB_COMPLETED":
            details = {field: value for field, _, value in values.params}
        case "DEVICE_ADDED" | "DEVICE_REMOVED" | "DEVICE_REMOVAL_FAILED":
            details = {"device": values.devAlias}
        case "DOMAIN_EVENT_VCPU_REMOVED":
            name, details = "VCPU_REMOVED", {"vcpu": values.vcpuid}
        case "TUNABLE":
            details = {field: value for field, _, value in values.params}
        case "METADATA_CHANGE":
            details = {"kind": _KIND_OF_METADATA[values.type], "uri": values.nsuri}
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "domain": values.dom.name,
        "event": _words(name),
        "details": {field: value for field, value in details.items() if value is not None},
    }


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


# wait


def _wait_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domains", nargs="+", metavar="domain", help="name, id or UUID")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--booted", action="store_true", help="until it is up, instead of until it has ended")
    until.add_argument("--ready", action="store_true", help="until it is ready, as its definition says")
    parser.add_argument("-t", "--time", type=float, help="seconds to wait at most (default: for ever)")
    parser.epilog = (
        "How each domain ended is printed. A guest with systemd is up once its jobs are done, which is printed as "
        "systemd calls it, 'running' or 'degraded'; any other is up once it runs, for no other init tells."
    )


def _wait(options: argparse.Namespace, host: Host) -> int:
    deadline = None if options.time is None else time.monotonic() + options.time
    status = 0
    for text in options.domains:
        try:
            found = domain(host, text)
            if options.ready:
                until_ready(host, found, _left(deadline))
                told = "ready"
            else:
                told = _booted(host, found, deadline) if options.booted else _ended(host, found, deadline)
            show_line(f"{found.name}: {told}" if len(options.domains) > 1 else told)
        except InsulaError as error:
            show_error(str(error), of=text)
            status = status or error.exit_status
    return status


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def until_ready(host: Host, found: Domain, seconds: float | None) -> None:
    """Return once it is ready. seconds: to wait at most, None for ever.

    Raises: OperationTimeoutError; OperationFailedError if it ends instead; OperationInvalidError if it is off.
    """
    ready = host.client.begin(bootverbs.wait_ready(found.ref))
    if not host.client.wait_for(ready.done, seconds):
        raise OperationTimeoutError("it is not ready in time")
    ready.result()


def _ended(host: Host, found: Domain, deadline: float | None) -> str:
    """Return how it ended, once it has. Raises: OperationTimeoutError; OperationInvalidError if it never ran."""
    outcome = host.client.begin(verbs.wait(found.ref))
    if not host.client.wait_for(outcome.done, _left(deadline)):
        raise OperationTimeoutError("it has not ended in time")
    return ending(outcome.result())


def ending(outcome: Outcome) -> str:
    """How a domain ended, in words."""
    status = outcome.status
    if status is None or (os.WIFSIGNALED(status) and goes_without_saying(outcome.reason, os.WTERMSIG(status))):
        return outcome.reason
    return f"{outcome.reason}, {exit_words(status)}"


def _booted(host: Host, found: Domain, deadline: float | None) -> str:
    """Return in which state it is up, once it is.

    Raises: OperationTimeoutError; OperationFailedError if it goes down instead; OperationInvalidError if it is off.
    """
    while True:
        run = found.info()["run"]
        if run is not None and run["init"] != "systemd":
            return "running"
        left = _left(deadline)
        patience = _ASKING_SECONDS if left is None else min(_ASKING_SECONDS, max(_ASKING_SECONDS_LEAST, left))
        state = _system_state(host, found, patience)
        if state in _UP:
            return state
        if state not in _ON_THE_WAY:
            raise OperationFailedError(f"it will not be up: systemd inside calls it '{state}'")
        if deadline is not None and time.monotonic() >= deadline:
            raise OperationTimeoutError(f"it is not up in time; systemd inside calls it '{state or 'not begun'}'")
        time.sleep(_BOOT_POLL_SECONDS)


def _system_state(host: Host, found: Domain, patience: float) -> str:
    """The word that the guest's systemctl says, "" if it says none within patience seconds.

    Raises: OperationInvalidError if the domain does not run.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    reader, writer = os.pipe()
    try:
        request = ExecRequest(argv=("systemctl", "is-system-running"))
        started = host.client.run(verbs.execute(found.ref, request, (null, writer, null)))
    finally:
        os.close(writer)
        os.close(null)
    try:
        end = host.client.begin(verbs.exec_status(started.handle))
        if not host.client.wait_for(end.done, patience):
            host.client.run(verbs.exec_signal(started.handle, signal.SIGKILL))
            if not host.client.wait_for(end.done, _KILLED_SECONDS):
                return ""  # what the guest traces ends when the guest likes
        end.result()
        os.set_blocking(reader, False)  # whatever else holds the other end
        with suppress(BlockingIOError):
            return os.read(reader, 64).decode(errors="replace").strip()
        return ""
    finally:
        os.close(reader)


ARGUMENTS = {"events": _events_arguments, "wait": _wait_arguments}
RUN = {"events": _events, "wait": _wait}

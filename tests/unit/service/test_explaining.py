"""A program is traced from before its first instruction, and what was refused to it is judged once it has ended."""

import asyncio
import errno
import os
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from insula.engine.codec import encode
from insula.engine.explain.refusedcall import Trace
from insula.engine.spec import Process
from insula.engine.steps.guest.tracing import BEGINS
from insula.errors import (
    InvalidArgumentError,
    OperationFailedError,
    OperationUnsupportedError,
    StepError,
)
from insula.service import explaining
from insula.service.explaining import ExplainVerbs
from insula.service.guest import StartedProgram
from tests.unit.engine.explain.failed import EPERM, failed, guest

pytestmark = pytest.mark.asyncio
PROCESS = Process(argv=("date",))


class _Group:
    """One that counts nothing. there: whether this process is in it."""

    there = True

    def processes(self) -> list[int]:
        return [os.getpid()] if self.there else []

    def __getattr__(self, name: str) -> Any:
        raise OSError(errno.ENOENT, "gone", name)

    def directory(self, controller: str) -> str:
        raise OSError(errno.ENOENT, "gone", controller)


class _Guest:
    """Starts programs that say that they are there, as this process, and end; or fail, if there is an error."""

    def __init__(self, error: Exception | None = None, *, says: bool = True) -> None:
        self.error = error
        self.says = says
        self.number = 0
        self.forgotten: set[int] = set()

    async def execute(self, managed: Any, process: Process, *, tracer: int, **further: Any) -> StartedProgram:
        if self.says:
            with socket.socket(fileno=os.dup(tracer)) as line:
                line.send(BEGINS)
        for _ in range(5):
            await asyncio.sleep(0)
        if self.error is not None:
            await asyncio.sleep(0.05)
            raise self.error
        self.number += 1
        return StartedProgram(id=self.number, pid=os.getpid(), master=None)

    def domain_of_executed(self, number: int) -> None:
        if number in self.forgotten:
            raise InvalidArgumentError("it ended long ago")


class _Looker:
    """Sees a trace, or raises."""

    def __init__(self, seen: Trace | Exception) -> None:
        self.seen = seen
        self.asked: list[Any] = []

    async def look(self, sight: Any, look: str, arguments: Any, fds: Any, *, seconds: float | None = 5.0) -> Any:
        self.asked.append((look, arguments, seconds))
        if isinstance(self.seen, Exception):
            raise self.seen
        return encode(self.seen)


def managed() -> Any:
    record = SimpleNamespace(spec=guest().spec)
    container = SimpleNamespace(record=record, pid=os.getpid(), group=_Group(), pidfd=-1)
    return SimpleNamespace(name="web", uuid="u", require_run=lambda: SimpleNamespace(container=container))


def verbs(seen: Trace | Exception, programs: _Guest | None = None) -> tuple[ExplainVerbs, _Looker]:
    looker = _Looker(seen)
    return ExplainVerbs(guest=cast("Any", programs or _Guest()), looker=cast("Any", looker)), looker


async def test_a_program_is_traced_by_its_pid_and_judged() -> None:
    trace = Trace(status=256, calls=(failed("bpf", EPERM, mattered=True),), overlooked=1)
    explain, looker = verbs(trace)
    started = await explain.execute(managed(), PROCESS, stdio=(0, 1, 2))
    told = await explain.explained(started.id)
    assert looker.asked == [("trace-calls", {"pid": os.getpid(), "init": os.getpid()}, None)]
    (refusal,) = told["refusals"]
    assert (told["domain"], told["status"], told["overlooked"]) == ("web", 256, 1)
    assert (refusal["name"], refusal["errno"], refusal["mattered"], refusal["certain"]) == ("bpf", "EPERM", True, True)
    assert refusal["verdicts"][0]["layer"] == "system call filter"


async def test_an_explanation_is_told_once() -> None:
    explain, _ = verbs(Trace(status=0))
    started = await explain.execute(managed(), PROCESS)
    await explain.explained(started.id)
    with pytest.raises(InvalidArgumentError, match="asked for already"):
        explain.explained(started.id)
    with pytest.raises(InvalidArgumentError):
        explain.explained(4711)


async def test_of_a_program_whose_domain_is_forgotten_nothing_is_told() -> None:
    programs = _Guest()
    explain, _ = verbs(Trace(status=0), programs)
    started = await explain.execute(managed(), PROCESS)
    programs.forgotten.add(started.id)
    with pytest.raises(InvalidArgumentError, match="long ago"):
        explain.explained(started.id)


async def test_those_that_nobody_asks_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "REMEMBERED", 1)
    explain, _ = verbs(Trace(status=0))
    first = await explain.execute(managed(), PROCESS)
    second = await explain.execute(managed(), PROCESS)
    with pytest.raises(InvalidArgumentError):
        explain.explained(first.id)
    assert (await explain.explained(second.id))["status"] == 0


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), OperationUnsupportedError, "since Linux 5.3"),
        (OSError(errno.EPERM, "Operation not permitted"), OperationFailedError, "cannot be traced"),
    ],
)
async def test_what_cannot_be_traced_says_why(error: OSError, kind: type[Exception], words: str) -> None:
    step = StepError("cannot wait to be traced", step="wait to be traced", errno=errno.ESRCH)
    explain, _ = verbs(error, _Guest(step))
    with pytest.raises(kind, match=words):
        await explain.execute(managed(), PROCESS)


async def test_nobody_is_traced_who_is_not_the_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Group, "there", False)
    step = StepError("cannot wait to be traced", step="wait to be traced", errno=errno.ESRCH)
    explain, looker = verbs(Trace(status=0), _Guest(step))
    with pytest.raises(OperationFailedError, match="has ended"):
        await explain.execute(managed(), PROCESS)
    assert looker.asked == []


async def test_a_program_that_does_not_begin_says_why_it_does_not() -> None:
    step = StepError("cannot execute date", step="execute", errno=errno.ENOENT)
    explain, looker = verbs(Trace(status=0), _Guest(step, says=False))
    with pytest.raises(StepError, match="execute date"):
        await explain.execute(managed(), PROCESS)
    assert looker.asked == []


async def test_what_holds_a_guest_is_told() -> None:
    explain, _ = verbs(Trace(status=0))
    told = await explain.confinement(managed())
    assert told["domain"] == "web"
    assert {each["layer"] for each in told["held_by"]} >= {"user namespace", "system call filter", "capability"}

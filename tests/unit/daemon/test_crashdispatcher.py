"""What becomes of a core; guests themselves are in tests/e2e/test_crashing_guests.py."""

import os
import syslog
from pathlib import Path

import pytest

from insula.daemon import crashdispatcher
from insula.daemon.crashdispatcher import CrashDispatcher, take
from insula.engine.dump.crash import Crash
from insula.engine.dump.crashedguest import CrashedGuest
from insula.engine.dump.crashgroup import NoPlaceError
from insula.engine.dump.formerhandler import FormerHandler
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd

NOWHERE = Hierarchies(v2="/nowhere")


@pytest.fixture
def former(tmp_path: Path) -> FormerHandler:
    (tmp_path / "own").write_text(f"{tmp_path}/core")
    return FormerHandler(own=tmp_path / "own", packaged=())


@pytest.fixture
def stream() -> Fd:
    fd = os.memfd_create("core")
    os.pwrite(fd, b"core", 0)
    return Fd(fd)


def crash(limit: int = -1, pid: int | None = None) -> Crash:
    me = str(os.getpid() if pid is None else pid)
    return Crash.of([me, str(os.getuid()), str(os.getgid()), "11", "17", str(limit), "host", "1", me])


def test_a_process_that_does_not_crash_now_gets_nothing_written(
    former: FormerHandler, stream: Fd, tmp_path: Path
) -> None:
    with pytest.raises(OperationFailedError, match=r"set kernel.core_pipe_limit"):
        CrashDispatcher(hierarchies=NOWHERE, former=former).dispatch(crash(), stream)
    assert not (tmp_path / "core").exists()
    with pytest.raises(ProcessLookupError):
        CrashDispatcher(hierarchies=NOWHERE, former=former).dispatch(crash(pid=2**22 - 1), stream)
    os.close(stream)


def test_the_hosts_own_goes_to_the_former_handler(former: FormerHandler, stream: Fd, tmp_path: Path) -> None:
    dispatcher = CrashDispatcher(hierarchies=NOWHERE, former=former, dumping=lambda pid: True)
    assert dispatcher.dispatch(crash(), stream) == f"kept at {tmp_path}/core"
    assert (tmp_path / "core").read_bytes() == b"core"
    os.close(stream)


@pytest.mark.parametrize(
    ("spec", "limit", "said"),
    [
        ({"name": "web"}, -1, "dropped: domain 'web' keeps none"),
        (
            {"name": "web", "core_dumps": {"pattern": "/c", "most": 9}},
            0,
            "dropped: domain 'web' keeps none (its limit is 0)",
        ),
    ],
)
def test_a_guest_that_keeps_none_costs_no_look(
    former: FormerHandler, stream: Fd, monkeypatch: pytest.MonkeyPatch, spec: dict[str, object], limit: int, said: str
) -> None:
    guest = CrashedGuest(data={"spec": spec}, group=Cgroup(NOWHERE, "x"), init=os.getpid())
    monkeypatch.setattr(crashdispatcher, "guest_of", lambda pid, hierarchies: guest)
    monkeypatch.setattr(crashdispatcher, "_looked", None)
    dispatcher = CrashDispatcher(hierarchies=NOWHERE, former=former, dumping=lambda pid: True)
    assert dispatcher.dispatch(crash(limit), stream) == said
    os.close(stream)


def test_cores_of_one_guest_are_taken_one_by_one(
    former: FormerHandler, stream: Fd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    group = Cgroup(Hierarchies(v2=str(tmp_path)), "x")
    data = {"spec": {"name": "web", "core_dumps": {"pattern": "/c", "most": 9}}}
    guest = CrashedGuest(data=data, group=group, init=os.getpid())
    monkeypatch.setattr(crashdispatcher, "guest_of", lambda pid, hierarchies: guest)
    monkeypatch.setattr(crashdispatcher, "_TURN", 0.1)
    monkeypatch.setattr(crashdispatcher, "_looked", lambda *_: {"name": "c", "size": 4, "cut": True})
    dispatcher = CrashDispatcher(hierarchies=NOWHERE, former=former, dumping=lambda pid: True)
    assert dispatcher.dispatch(crash(), stream) == "kept in domain 'web' as c (4 bytes, cut)"
    held = crashdispatcher._turn_of(guest)
    with pytest.raises(OperationFailedError, match=r"another core of this guest is being kept$"):
        dispatcher.dispatch(crash(), stream)
    os.close(held)
    assert dispatcher.dispatch(crash(), stream).startswith("kept")
    os.close(stream)


def test_a_guest_that_has_told_who_it_is_meanwhile_pays_from_then_on(
    former: FormerHandler, stream: Fd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"spec": {"name": "web", "core_dumps": {"pattern": "/c", "most": 9}}}
    guest = CrashedGuest(data=data, group=Cgroup(Hierarchies(v2=str(tmp_path)), "."), init=os.getpid())
    joined: list[int] = []
    monkeypatch.setattr(crashdispatcher, "guest_of", lambda pid, hierarchies: guest)
    monkeypatch.setattr(crashdispatcher, "join_group", joined.append)
    monkeypatch.setattr(crashdispatcher, "_looked", lambda *_: {"name": "c", "size": 4, "cut": False})
    hierarchies = guest.group.hierarchies
    placed = CrashDispatcher(hierarchies=hierarchies, former=former, dumping=lambda pid: True, place=stream)
    assert placed.dispatch(crash(), stream).startswith("kept") and not joined
    late = CrashDispatcher(hierarchies=hierarchies, former=former, dumping=lambda pid: True)
    assert late.dispatch(crash(), stream).startswith("kept") and joined == [os.getpid()]

    def full(pid: int) -> int:
        raise NoPlaceError("others")

    monkeypatch.setattr(crashdispatcher, "join_group", full)
    late = CrashDispatcher(hierarchies=hierarchies, former=former, dumping=lambda pid: True)
    with pytest.raises(OperationFailedError, match="others"):
        late.dispatch(crash(), stream)
    os.close(stream)


def test_what_becomes_of_it_stands_in_the_hosts_log(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: told.append(text))
    assert take(["nonsense"], None) == 1
    assert "a process: its core is dropped: 1 arguments came: the kernel's are %P" in told[0]
    me = str(os.getpid())
    assert take([me, "0", "0", "11", "17", "-1", "host", "1", me], None) == 1
    assert f"process {me} (" in told[1] and "signal 11: its core is dropped: it is no more" in told[1]

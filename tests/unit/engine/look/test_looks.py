"""What the looker does inside guests."""

import os

import pytest

from insula.engine.guestinit import InitAnswer, InitProcess, PowerAction, Way
from insula.engine.look import looks
from insula.engine.look.looks import LOOKS, ask_init
from insula.engine.look.visit import ENTERING
from insula.engine.spec import InitKind
from insula.kernel.fds import Fd
from insula.kernel.privileges import CAPABILITIES


def test_every_look_names_capabilities_that_there_are() -> None:
    for name, look in LOOKS.items():
        assert look.capabilities <= set(CAPABILITIES), name
        visits = look.capabilities == ENTERING  # and gives up then what it does not need
        assert visits or "sys_admin" not in look.capabilities or name == "trim-mounts", name


@pytest.mark.parametrize("kind", [InitKind.BUSYBOX, InitKind.PLAIN])
def test_init_is_asked_as_its_kind_is(monkeypatch: pytest.MonkeyPatch, kind: InitKind) -> None:
    heard: list[tuple[InitProcess, list[PowerAction], list[Way]]] = []

    def request(init: InitProcess, actions: list[PowerAction], ways: list[Way]) -> InitAnswer:
        heard.append((init, actions, ways))
        return InitAnswer.UNHEARD

    monkeypatch.setattr(looks, "request", request)
    pidfd = Fd(os.pidfd_open(os.getpid()))
    arguments = {"pid": os.getpid(), "kind": kind.value, "argv": ["/nowhere"], "actions": ["poweroff"], "ways": ["any"]}
    try:
        answer = ask_init(arguments, {"init": pidfd})
    finally:
        os.close(pidfd)
    assert answer == {"kind": kind.value, "answer": "unheard"}
    assert heard == [
        (InitProcess(pid=os.getpid(), pidfd=pidfd, kind=kind), [PowerAction.POWEROFF], [Way.ANY]),
    ]

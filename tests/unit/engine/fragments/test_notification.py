"""Tests of insula.engine.fragments.notification."""

from dataclasses import replace

from insula.engine.fragments.environment import init_environment
from insula.engine.fragments.notification import NOTIFY_SOCKET, notification
from insula.engine.steps.guest.roottree import AttachMount
from insula.engine.steps.host.notifysocket import MakeNotifySocket
from tests.unit.engine.fragments.example import PRIVILEGED, SPEC


def test_init_has_a_socket_only_where_that_is_asked_for() -> None:
    assert notification(SPEC) == ([], [])
    assert "NOTIFY_SOCKET" not in dict(init_environment(SPEC))


def test_the_socket_belongs_to_the_guests_root_and_its_place_is_told() -> None:
    spec = replace(SPEC, notifies=True)
    (made,), (shown,) = notification(spec)
    assert isinstance(made, MakeNotifySocket) and (made.uid, made.gid) == (300000, 400000)
    assert isinstance(shown, AttachMount) and (shown.source, shown.target) == (made.name, NOTIFY_SOCKET)
    assert dict(init_environment(spec))["NOTIFY_SOCKET"] == NOTIFY_SOCKET
    (made,), _ = notification(replace(PRIVILEGED, notifies=True))
    assert isinstance(made, MakeNotifySocket) and (made.uid, made.gid) == (0, 0)

"""Who connected, and who may come in."""

import os
import socket
from pathlib import Path

import pytest

from insula.daemon.config import SocketSettings
from insula.daemon.peers import Admission, Peer, admission_of, peer_of
from insula.errors import ConfigurationError
from insula.kernel.process import start_time

STRANGER = os.geteuid() + 12345


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.geteuid(), os.getegid())
    assert peer.groups == frozenset(os.getgroups())


@pytest.mark.parametrize(
    ("peer", "admission", "permitted"),
    [
        (Peer(pid=1, uid=0, gid=0), Admission(gid=None, everybody=False), True),
        (Peer(pid=1, uid=os.geteuid(), gid=7), Admission(gid=None, everybody=False), True),
        (Peer(pid=1, uid=STRANGER, gid=7), Admission(gid=None, everybody=False), False),
        (Peer(pid=1, uid=STRANGER, gid=7), Admission(gid=7, everybody=False), True),
        (Peer(pid=1, uid=STRANGER, gid=8, groups=frozenset({7})), Admission(gid=7, everybody=False), True),
        (Peer(pid=1, uid=STRANGER, gid=8, groups=frozenset({9})), Admission(gid=7, everybody=False), False),
        (Peer(pid=1, uid=STRANGER, gid=8), Admission(gid=None, everybody=True), True),
    ],
)
def test_root_the_group_and_an_open_mode_come_in(peer: Peer, admission: Admission, permitted: bool) -> None:
    assert admission.permits(peer) is permitted


def test_the_mode_says_whether_everybody_may_come_in() -> None:
    assert admission_of(SocketSettings(path=Path("/x"), mode=0o666)).everybody
    assert not admission_of(SocketSettings(path=Path("/x"), mode=0o664)).everybody


def test_a_group_is_looked_up_and_must_exist_unless_it_is_optional() -> None:
    assert admission_of(SocketSettings(path=Path("/x"), group="root")).gid == 0
    missing = SocketSettings(path=Path("/x"), group="no-such-group", group_optional=True)
    assert admission_of(missing).gid is None
    with pytest.raises(ConfigurationError, match="no-such-group"):
        admission_of(SocketSettings(path=Path("/x"), group="no-such-group"))


def test_a_process_is_known_by_when_it_began_and_one_that_has_ended_is_not() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours).born == start_time(os.getpid())

    listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with listener, client:
        listener.bind("")
        listener.listen()
        connecting = os.fork()
        if not connecting:
            client.connect(listener.getsockname())
            os._exit(0)
        os.waitpid(connecting, 0)
        connection, _ = listener.accept()
        with connection:
            peer = peer_of(connection)
    assert peer.pid == connecting and peer.born is None


def test_who_comes_from_afar_has_an_account_that_is_no_users() -> None:
    unknown, known = Peer(address="192.0.2.7"), Peer(address="192.0.2.7", name="0")
    assert not unknown.is_privileged and not known.is_privileged
    assert unknown.account == "at 192.0.2.7" and known.account == "'0'"
    assert str(unknown) == "somebody from 192.0.2.7" and str(known) == "0 from 192.0.2.7"


@pytest.mark.parametrize(
    ("address", "account"),
    [
        ("192.0.2.7", "at 192.0.2.7"),
        ("::ffff:192.0.2.7", "at 192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "at 2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "at 2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "at 2001:db8:1:3::/64"),
        ("fe80::1%eth0", "at fe80::/64"),
    ],
)
def test_who_has_one_address_of_a_network_has_them_all(address: str, account: str) -> None:
    assert Peer(address=address).account == account

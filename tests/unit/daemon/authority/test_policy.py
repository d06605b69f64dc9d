"""The policy that settings make."""

from pathlib import Path

import pytest

from insula.daemon.authority.policy import AccessPolicy, policy_of
from insula.daemon.complaints import Complaints
from insula.daemon.config import SocketAccess, default_sockets, parse
from insula.daemon.peers import Peer
from insula.errors import ConfigurationError
from insula.layout import Layout
from insula.rpc.codes.connectioncodes import AuthType

SOMEBODY, ROOT = Peer(pid=4711, uid=1000, gid=1000, born=99), Peer(pid=1, uid=0, gid=0)
LAYOUT = Layout.prefix(Path("/prefix"))


def of(text: str) -> AccessPolicy:
    return policy_of(parse(text, LAYOUT))


def test_without_settings_nobody_is_asked_anything() -> None:
    policy = of("")
    for access in SocketAccess:
        assert policy.authentication(SOMEBODY, access).complete
    assert policy.jury(SOMEBODY, Complaints()) is None


def test_each_kind_of_socket_asks_for_its_own_and_never_root() -> None:
    policy = of('auth_unix_rw = "polkit"')
    asked = policy.authentication(SOMEBODY, SocketAccess.READ_WRITE)
    assert asked.offered == (AuthType.POLKIT,) and not asked.complete
    assert policy.authentication(SOMEBODY, SocketAccess.READ_ONLY).complete
    assert policy.authentication(ROOT, SocketAccess.READ_WRITE).complete
    policy.close()


def test_drivers_are_asked_about_all_but_root() -> None:
    policy = of('access_drivers = ["none", "polkit"]')
    assert [name for name, _ in policy.drivers] == ["polkit"]
    assert policy.jury(SOMEBODY, Complaints()) is not None and policy.jury(ROOT, Complaints()) is None


def test_the_usual_socket_is_everybodys_where_polkit_decides() -> None:
    assert parse('auth_unix_rw = "polkit"', LAYOUT).sockets[0].mode == 0o666
    assert parse('auth_unix_ro = "polkit"', LAYOUT).sockets == default_sockets(LAYOUT)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('auth_unix_rw = "ldap"', "line 1: 'auth_unix_rw' must be one of none, polkit, sasl"),
        ('access_drivers = "polkit"', "line 1: 'access_drivers' must be a list of names"),
        ('access_drivers = ["no-such"]', "no access driver 'no-such'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        of(text)

"""The policy that settings make."""

from pathlib import Path

import pytest

from insula.daemon.authority.policy import AccessPolicy, policy_of
from insula.daemon.authority.saslusers import SaslUsers, write_users
from insula.daemon.complaints import Complaints
from insula.daemon.config import SocketAccess, default_sockets, parse
from insula.daemon.listener import EndpointKind
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
    jury = policy.jury(SOMEBODY, Complaints())
    assert jury is not None and not jury.sits and policy.jury(ROOT, Complaints()) is None


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
    jury = policy.jury(SOMEBODY, Complaints())
    assert jury is not None and jury.sits and policy.jury(ROOT, Complaints()) is None


def test_other_settings_count_for_who_comes_next_and_drivers_for_everybody() -> None:
    policy = of('auth_unix_ro = "polkit"')
    jury, present = policy.jury(SOMEBODY, Complaints()), policy.authentication(SOMEBODY, SocketAccess.READ_ONLY)
    assert jury is not None and not jury.sits
    renew = policy.renewal(parse('auth_unix_rw = "polkit"\naccess_drivers = ["polkit"]', LAYOUT))
    assert not jury.sits and policy.authentication(SOMEBODY, SocketAccess.READ_WRITE).complete, "not before it is done"
    renew()
    assert jury.sits and not present.complete
    assert not policy.authentication(SOMEBODY, SocketAccess.READ_WRITE).complete
    assert policy.authentication(SOMEBODY, SocketAccess.READ_ONLY).complete
    driver = policy.drivers[0]
    policy.renewal(parse('access_drivers = ["polkit"]', LAYOUT))()
    assert policy.drivers == [driver], "it is not made anew"
    policy.renewal(parse("", LAYOUT))()
    assert not jury.sits and policy.authentication(SOMEBODY, SocketAccess.READ_WRITE).complete


def test_settings_that_cannot_be_followed_change_nothing(tmp_path: Path) -> None:
    policy = of("")
    for text, complaint in (
        ('access_drivers = ["no-such"]', "no access driver 'no-such'"),
        (f'auth_unix_rw = "sasl"\nsasl_credentials = "{tmp_path}/none"', "there is no file .*none of users"),
    ):
        with pytest.raises(ConfigurationError, match=complaint):
            policy.renewal(parse(text, LAYOUT))
    assert policy.authentication(SOMEBODY, SocketAccess.READ_WRITE).complete and not policy.drivers


def test_what_is_asked_for_by_tcp_stays_as_where_it_listens(tmp_path: Path) -> None:
    """Else a port that is open to the world would ask for nothing once settings say that it is for this host alone."""
    write_users(tmp_path / "users", SaslUsers().with_password("anna", "pencil"))
    file = f'sasl_credentials = "{tmp_path}/users"'
    policy = of(f'listen_tcp = true\nlisten_addr = "127.0.0.1"\nauth_tcp = "none"\n{file}')
    afar = Peer(address="192.0.2.1")
    policy.renewal(parse(f'auth_tls = "sasl"\n{file}', LAYOUT))()
    assert policy.authentication(afar, SocketAccess.READ_WRITE, EndpointKind.TCP).complete
    assert policy.authentication(afar, SocketAccess.READ_WRITE, EndpointKind.TLS).offered == (AuthType.SASL,)


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

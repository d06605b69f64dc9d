import json
from types import SimpleNamespace
from typing import Any

import pytest

from insula.cli import networkcommands
from insula.errors import NetworkExistsError, NetworkNotFoundError, OperationFailedError, OperationInvalidError
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import NetworkRef
from tests.unit.cli.fake_client import FakeClient
from tests.unit.cli.options import options_of

LAN = NetworkRef("lan", bytes(range(16)))
FACTS: dict[str, Any] = {
    "name": "lan",
    "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f",
    "active": True,
    "persistent": True,
    "autostart": False,
    "mode": "nat",
    "bridge": "virbr0",
    "subnets": ["10.9.0.0/24", "fd00::/64"],
    "title": None,
    "guests": ["mail", "web"],
    "begun": 1_700_000_000_000_000_000,
    "notices": ["the address was put back"],
}


def lookup(name: str) -> NetworkRef:
    if name != LAN.name:
        raise NetworkNotFoundError(f"no network with matching name '{name}'")
    return LAN


def client(**changes: Any) -> FakeClient:
    answers: dict[Any, Any] = {
        Insula.NETWORK_OFFER: "<network/>",
        Insula.NETWORK_LIST: json.dumps([FACTS]),
        Insula.NETWORK_INFO: json.dumps(FACTS),
        Remote.NETWORK_LOOKUP_BY_NAME: lookup,
        Remote.NETWORK_LOOKUP_BY_UUID: LAN,
        Remote.CONNECT_LIST_ALL_NETWORKS: SimpleNamespace(nets=(LAN,)),
        Remote.NETWORK_DEFINE_XML_FLAGS: LAN,
        Remote.NETWORK_CREATE: None,
        Remote.NETWORK_DESTROY: None,
        Remote.NETWORK_UNDEFINE: None,
        Remote.NETWORK_SET_AUTOSTART: None,
        Remote.NETWORK_IS_ACTIVE: 1,
        Remote.NETWORK_IS_PERSISTENT: 1,
        Remote.NETWORK_GET_DHCP_LEASES: SimpleNamespace(leases=[LEASE]),
    }
    rows = {name: getattr(Remote, name, None) or getattr(Insula, name) for name in changes}
    return FakeClient(answers | {rows[name]: each for name, each in changes.items()})


class _Lease(tuple[Any, ...]):
    """As the wire has it: a named tuple whose third field is `type`."""

    __slots__ = ()
    type = 0


LEASE = _Lease(("virbr0", 1_700_000_000, 0, "52:54:00:00:00:01", None, "10.9.0.5", 24, "web", "01:52"))


def run(verb: str, used: FakeClient, *words: str) -> int:
    return networkcommands.RUN[verb](options_of(networkcommands.ARGUMENTS[verb], *words), used.host)


def test_a_network_is_made_started_and_starts_with_the_host_in_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    used = client()
    assert run("network create", used) == 0
    (offered,) = used.made(Insula.NETWORK_OFFER)
    assert (offered[0], json.loads(offered[1])) == ("default", {"mode": "nat", "subnet": None, "ipv6": True})
    assert used.made(Remote.NETWORK_DEFINE_XML_FLAGS) == [("<network/>", 0)]
    assert used.made(Remote.NETWORK_CREATE) == [(LAN,)]
    assert used.made(Remote.NETWORK_SET_AUTOSTART) == [(LAN, 1)]
    assert capsys.readouterr().out == "lan\n"


def test_what_a_network_is_to_be_like_is_asked_for() -> None:
    used = client()
    run("network create", used, "new", "--mode", "none", "--subnet", "10.0.0.0/24", "--no-ipv6", "--no-start")
    (offered,) = used.made(Insula.NETWORK_OFFER)
    assert (offered[0], json.loads(offered[1])) == ("new", {"mode": "none", "subnet": "10.0.0.0/24", "ipv6": False})
    assert used.made(Remote.NETWORK_CREATE) == []


def test_its_xml_can_be_had_instead(capsys: pytest.CaptureFixture[str]) -> None:
    used = client()
    assert run("network create", used, "--xml") == 0
    assert capsys.readouterr().out == "<network/>"
    assert used.made(Remote.NETWORK_DEFINE_XML_FLAGS) == []


def test_a_network_that_does_not_start_is_not_kept() -> None:
    used = client(
        NETWORK_CREATE=OperationFailedError("no bridge can be made"),
        NETWORK_DESTROY=OperationInvalidError("network 'lan' is not active"),
    )
    with pytest.raises(OperationFailedError, match="no bridge can be made"):
        run("network create", used)
    assert used.made(Remote.NETWORK_UNDEFINE) == [(LAN,)]


def test_one_that_is_there_is_refused_before_anything_is_made() -> None:
    used = client()
    with pytest.raises(NetworkExistsError, match="network 'lan' already exists with uuid 00010203"):
        run("network create", used, "lan")
    assert used.made(Remote.NETWORK_DEFINE_XML_FLAGS) == []


def test_networks_are_listed_with_who_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    run("network ls", client())
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "STATE", "MODE", "BRIDGE", "SUBNETS", "GUESTS", "AUTOSTART"]
    assert line.split() == ["lan", "active", "nat", "virbr0", "10.9.0.0/24,", "fd00::/64", "2", "no"]
    run("network ls", client(), "--format", "{name} {guests}")
    assert capsys.readouterr().out == "lan mail,web\n"


def test_what_is_known_of_a_network_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run("network info", client(), "lan")
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    for line in (["state:", "active"], ["guests:", "mail"], ["subnets:", "10.9.0.0/24"]):
        assert line in told
    assert ["notices:", *FACTS["notices"][0].split()] in told
    assert "title:" not in [line[0] for line in told]
    run("network info", client(), "lan", "--json")
    assert json.loads(capsys.readouterr().out) == FACTS


def test_one_that_is_not_there_is_told_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NetworkNotFoundError, match="no network is called 'wan'; there are lan; make one with: insula"):
        run("network info", client(), "wan")
    empty = client(CONNECT_LIST_ALL_NETWORKS=SimpleNamespace(nets=()))
    with pytest.raises(NetworkNotFoundError, match=r"there is none yet; make one with: insula network create$"):
        run("network info", empty, "default")
    assert run("network info", client(), "00010203-0405-0607-0809-0a0b0c0d0e0f") == 0


def test_who_loses_a_network_that_is_stopped_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    used = client()
    assert run("network stop", used, "lan") == 0
    assert "lan: mail, web had it, and lost it until it starts again" in capsys.readouterr().err
    assert used.made(Remote.NETWORK_DESTROY) == [(LAN,)]


def test_guests_on_a_bridge_of_the_hosts_lose_nothing_by_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    used = client(NETWORK_INFO=json.dumps(FACTS | {"mode": "bridge"}))
    assert run("network stop", used, "lan") == 0
    assert "lan: mail, web had it, and stay where they are plugged in on the host" in capsys.readouterr().err


def test_one_that_fails_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    used = client()
    assert run("network start", used, "wan", "lan") == 4
    assert used.made(Remote.NETWORK_CREATE) == [(LAN,)]
    assert "wan: no network is called 'wan'" in capsys.readouterr().err


def test_an_active_network_is_removed_by_force_only(capsys: pytest.CaptureFixture[str]) -> None:
    used = client()
    assert run("network rm", used, "lan") == 3
    assert "it is active; stop it first, or use --force" in capsys.readouterr().err
    assert run("network rm", used, "--force", "lan") == 0
    assert used.made(Remote.NETWORK_DESTROY) == used.made(Remote.NETWORK_UNDEFINE) == [(LAN,)]


def test_a_transient_network_is_removed_by_stopping_it() -> None:
    used = client(NETWORK_IS_PERSISTENT=0)
    assert run("network rm", used, "-f", "lan") == 0
    assert used.made(Remote.NETWORK_UNDEFINE) == []


def test_autostart_is_switched() -> None:
    used = client()
    run("network autostart", used, "lan")
    run("network autostart", used, "--disable", "lan")
    assert used.made(Remote.NETWORK_SET_AUTOSTART) == [(LAN, 1), (LAN, 0)]


def test_leases_of_all_networks_or_of_some_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("network leases", client()) == run("network leases", client(), "lan") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == lines[2:]
    assert lines[1].split()[:3] == ["10.9.0.5/24", "52:54:00:00:00:01", "web"]
    run("network leases", client(), "--json")
    assert json.loads(capsys.readouterr().out)[0]["expires"] == 1_700_000_000


def test_leases_that_cannot_be_read_are_told_with_the_network() -> None:
    used = client(NETWORK_GET_DHCP_LEASES=OperationFailedError("permission denied"))
    with pytest.raises(OperationFailedError, match="the leases of network 'lan' cannot be told: permission denied"):
        run("network leases", used)
    gone = client(NETWORK_GET_DHCP_LEASES=NetworkNotFoundError("gone"))
    assert run("network leases", gone) == 0

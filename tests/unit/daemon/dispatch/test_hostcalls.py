"""The connection and the host: features, versions, maps, and texts that clients copy up to a zero byte."""

import asyncio
from typing import Any

import pytest

from insula.errors import AuthenticationError, InvalidArgumentError, OperationInvalidError
from insula.rpc.codes.connectioncodes import Feature
from insula.rpc.procedures import Procedure, Remote
from insula.service.events import Events
from tests.unit.daemon.fakes import FakeClient, FakeDomains, answered, services_of


def ask(procedure: Procedure, *arguments: Any, client: FakeClient | None = None) -> Any:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return answered(services_of(asyncio.run(make())), procedure, *arguments, client=client)


@pytest.mark.parametrize("feature", [Feature.FD_PASSING, Feature.REMOTE_EVENT_CALLBACK, Feature.REMOTE_CLOSE_CALLBACK])
def test_features_that_work_are_announced(feature: Feature) -> None:
    assert ask(Remote.CONNECT_SUPPORTS_FEATURE, feature).supported == 1


@pytest.mark.parametrize("feature", [Feature.MIGRATION_V3, Feature.MIGRATION_P2P, Feature.XML_MIGRATABLE, 12345])
def test_features_that_do_not_are_not(feature: int) -> None:
    assert ask(Remote.CONNECT_SUPPORTS_FEATURE, feature).supported == 0


def test_asking_for_keepalive_starts_it() -> None:
    client = FakeClient(Events())
    assert ask(Remote.CONNECT_SUPPORTS_FEATURE, Feature.PROGRAM_KEEPALIVE, client=client).supported == 1
    assert client.pinged


def test_authentication_that_is_not_offered_is_refused() -> None:
    for procedure, arguments in ((Remote.AUTH_POLKIT, ()), (Remote.AUTH_SASL_START, ("PLAIN", 0, b""))):
        with pytest.raises(AuthenticationError):
            ask(procedure, *arguments)


def test_opening_for_reading_only_is_passed_on_and_unknown_flags_are_not() -> None:
    client = FakeClient(Events())
    ask(Remote.CONNECT_OPEN, "lxc:///system", 1, client=client)
    ask(Remote.CONNECT_OPEN, None, 2, client=client)
    assert client.opened == [True, False]
    with pytest.raises(InvalidArgumentError, match=r"0x4\b"):
        ask(Remote.CONNECT_OPEN, None, 4, client=client)


def test_a_close_callback_is_registered_once() -> None:
    client = FakeClient(Events())
    with pytest.raises(OperationInvalidError):
        ask(Remote.CONNECT_UNREGISTER_CLOSE_CALLBACK, client=client)
    ask(Remote.CONNECT_REGISTER_CLOSE_CALLBACK, client=client)
    with pytest.raises(OperationInvalidError):
        ask(Remote.CONNECT_REGISTER_CLOSE_CALLBACK, client=client)
    ask(Remote.CONNECT_UNREGISTER_CLOSE_CALLBACK, client=client)


def test_the_security_model_is_a_c_string_that_libvirt_enters_namespaces_with() -> None:
    assert ask(Remote.NODE_GET_SECURITY_MODEL) == (b"none\0", b"0\0")


def test_versions_are_plausible_to_clients_that_insist() -> None:
    assert ask(Remote.CONNECT_GET_LIB_VERSION).lib_ver >= 10_000_000
    assert ask(Remote.CONNECT_GET_TYPE).type == "LXC"


def test_the_cpu_map_counts_and_marks_those_online() -> None:
    reply = ask(Remote.NODE_GET_CPU_MAP, 1, 1, 0)
    assert sum(byte.bit_count() for byte in reply.cpumap) == reply.online <= reply.ret
    assert ask(Remote.NODE_GET_CPU_MAP, 0, 0, 0)[:2] == (b"", 0)


def test_host_statistics_are_counted_first() -> None:
    count = ask(Remote.NODE_GET_MEMORY_STATS, 0, -1, 0).nparams
    assert len(ask(Remote.NODE_GET_MEMORY_STATS, count, -1, 0).params) == count
    assert {each.field for each in ask(Remote.NODE_GET_CPU_STATS, -1, 9, 0).params} >= {"idle", "user"}

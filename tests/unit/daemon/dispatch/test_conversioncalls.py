from insula.daemon.dispatch import conversioncalls, table
from insula.rpc.procedures import Insula, Remote


def test_libvirts_calls_and_ours_are_answered() -> None:
    assert set(conversioncalls.HANDLERS) == {
        Remote.CONNECT_DOMAIN_XML_FROM_NATIVE,
        Remote.CONNECT_DOMAIN_XML_TO_NATIVE,
        Insula.CONFIG_READ,
        Insula.CONFIG_WRITE,
    }
    assert conversioncalls.HANDLERS.items() <= table.HANDLERS.items()


def test_nobody_with_a_read_only_connection_may_ask() -> None:
    assert {row.permissions_notation for row in conversioncalls.HANDLERS} == {"connect:write"}

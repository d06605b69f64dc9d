"""The end of a macvlan, as far as no privilege is needed; tests/system/test_network.py has the rest."""

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.network.kinds.macvlan import MacvlanKind
from tests.unit.network.kinds.conversation import Conversation

ENDED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac="52:54:00:00:00:01", kind=InterfaceKind.MACVLAN, guest_index=3
)


def test_it_is_removed_where_the_guests_network_is_still_open_and_left_to_the_kernel_elsewhere() -> None:
    host, inside = Conversation(), Conversation()
    MacvlanKind().end(ENDED, host.socket, inside.socket, 9)
    MacvlanKind().end(ENDED, host.socket, None, 9)
    assert (host.asked, inside.asked) == ([], ["interface 3"])

"""A virtual network, async: the twin of `blocking_networks`, verb by verb."""

from insula.rpc.wiretypes import NetworkRef
from insula.sdk import networkconversations
from insula.sdk.client import Client
from insula.sdk.faces import async_thing_verb
from insula.sdk.values import uuid_text


class AsyncNetwork:
    """A virtual network. ref: how the wire refers to it."""

    def __init__(self, client: Client, ref: NetworkRef) -> None:
        self._client = client
        self.ref = ref

    def __repr__(self) -> str:
        return f"<network '{self.name}' {self.uuid}>"

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def uuid(self) -> str:
        return uuid_text(self.ref.uuid)

    start = async_thing_verb(networkconversations.start_network)
    destroy = async_thing_verb(networkconversations.destroy_network)
    undefine = async_thing_verb(networkconversations.undefine_network)
    xml = async_thing_verb(networkconversations.network_xml)
    is_active = async_thing_verb(networkconversations.network_is_active)
    is_persistent = async_thing_verb(networkconversations.network_is_persistent)
    autostart = async_thing_verb(networkconversations.network_autostart)
    set_autostart = async_thing_verb(networkconversations.set_network_autostart)
    bridge = async_thing_verb(networkconversations.network_bridge)
    info = async_thing_verb(networkconversations.network_info)
    leases = async_thing_verb(networkconversations.network_leases)
    update = async_thing_verb(networkconversations.update_network)
    metadata = async_thing_verb(networkconversations.network_metadata)
    set_metadata = async_thing_verb(networkconversations.set_network_metadata)

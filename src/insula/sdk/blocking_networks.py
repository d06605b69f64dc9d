"""A virtual network, blocking."""

from insula.rpc.wiretypes import NetworkRef
from insula.sdk import networkconversations
from insula.sdk.blocking import Blocking
from insula.sdk.faces import thing_verb
from insula.sdk.values import uuid_text


class Network:
    """A virtual network. ref: how the wire refers to it."""

    def __init__(self, client: Blocking, ref: NetworkRef) -> None:
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

    start = thing_verb(networkconversations.start_network)
    destroy = thing_verb(networkconversations.destroy_network)
    undefine = thing_verb(networkconversations.undefine_network)
    xml = thing_verb(networkconversations.network_xml)
    is_active = thing_verb(networkconversations.network_is_active)
    is_persistent = thing_verb(networkconversations.network_is_persistent)
    autostart = thing_verb(networkconversations.network_autostart)
    set_autostart = thing_verb(networkconversations.set_network_autostart)
    bridge = thing_verb(networkconversations.network_bridge)
    info = thing_verb(networkconversations.network_info)
    leases = thing_verb(networkconversations.network_leases)
    update = thing_verb(networkconversations.update_network)
    metadata = thing_verb(networkconversations.network_metadata)
    set_metadata = thing_verb(networkconversations.set_network_metadata)

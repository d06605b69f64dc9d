"""Registering for events: of domains in both styles, of networks, and of what there is none of."""

from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.subscriptions import NETWORK
from insula.rpc import wiretypes
from insula.rpc.codes.absentcodes import NodeDeviceEventId, PoolEventId
from insula.rpc.codes.eventcodes import DomainEventId, NetworkEventId
from insula.rpc.procedures import Procedure, Remote

_SECRET_VALUE_CHANGED = 1


def _register(request: IncomingCall, event_id: int, domain: wiretypes.DomainRef | None) -> Answer:
    uuid = UUID(bytes=domain.uuid) if domain is not None else None
    return (request.client.subscriptions.add(event_id, uuid),)


def _deregister(request: IncomingCall, callback_id: int) -> Answer:
    request.client.subscriptions.remove(callback_id)
    return None


def _register_lifecycle(request: IncomingCall) -> Answer:
    request.client.subscriptions.add_old_style(DomainEventId.LIFECYCLE)
    return (1,)


def _deregister_lifecycle(request: IncomingCall) -> Answer:
    request.client.subscriptions.remove_old_style(DomainEventId.LIFECYCLE)
    return (0,)


def _register_old_style(request: IncomingCall, event_id: int) -> Answer:
    request.client.subscriptions.add_old_style(event_id)
    return None


def _deregister_old_style(request: IncomingCall, event_id: int) -> Answer:
    request.client.subscriptions.remove_old_style(event_id)
    return None


def _register_network(request: IncomingCall, event_id: int, net: wiretypes.NetworkRef | None) -> Answer:
    uuid = UUID(bytes=net.uuid) if net is not None else None
    return (request.client.subscriptions.add(event_id, uuid, noun=NETWORK, last=NetworkEventId.METADATA_CHANGE),)


def _registers(noun: str, last: int) -> Handler:
    def register(request: IncomingCall, event_id: int, _: object) -> Answer:
        """There is no thing of this noun, so nothing ever comes, whatever it is about."""
        return (request.client.subscriptions.add(event_id, _, noun=noun, last=last),)

    return register


def _deregisters(noun: str) -> Handler:
    def deregister(request: IncomingCall, callback_id: int) -> Answer:
        request.client.subscriptions.remove(callback_id, noun=noun)
        return None

    return deregister


HANDLERS: dict[Procedure, Handler] = {
    Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: _register,
    Remote.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY: _deregister,
    Remote.CONNECT_DOMAIN_EVENT_REGISTER: _register_lifecycle,
    Remote.CONNECT_DOMAIN_EVENT_DEREGISTER: _deregister_lifecycle,
    Remote.CONNECT_DOMAIN_EVENT_REGISTER_ANY: _register_old_style,
    Remote.CONNECT_DOMAIN_EVENT_DEREGISTER_ANY: _deregister_old_style,
    Remote.CONNECT_NETWORK_EVENT_REGISTER_ANY: _register_network,
    Remote.CONNECT_NETWORK_EVENT_DEREGISTER_ANY: _deregisters(NETWORK),
    Remote.CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY: _registers("storage pool", PoolEventId.REFRESH),
    Remote.CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY: _deregisters("storage pool"),
    Remote.CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY: _registers("node device", NodeDeviceEventId.UPDATE),
    Remote.CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY: _deregisters("node device"),
    Remote.CONNECT_SECRET_EVENT_REGISTER_ANY: _registers("secret", _SECRET_VALUE_CHANGED),
    Remote.CONNECT_SECRET_EVENT_DEREGISTER_ANY: _deregisters("secret"),
}

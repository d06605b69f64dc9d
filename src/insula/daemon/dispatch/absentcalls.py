"""Storage, host devices, secrets, snapshots: honestly none, so that clients connect in peace.

Lists are empty, look-ups say "not found" with the number clients branch on, and what would change something is not
supported (no row here).
"""

from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import InsulaError
from insula.rpc import wiretypes
from insula.rpc.procedures import Procedure, Remote
from insula.service.managed import ManagedDomain


class _AbsentError(InsulaError):
    """There is none of that name: this driver has none at all."""

    exit_status = 4


class _NoPoolError(_AbsentError):
    code = ErrorCode.NO_STORAGE_POOL
    domain = ErrorDomain.STORAGE
    prefix = "Storage pool not found: "


class _NoVolumeError(_AbsentError):
    code = ErrorCode.NO_STORAGE_VOL
    domain = ErrorDomain.STORAGE
    prefix = "Storage volume not found: "


class _NoNodeDeviceError(_AbsentError):
    code = ErrorCode.NO_NODE_DEVICE
    domain = ErrorDomain.NODEDEV
    prefix = "Node device not found: "


class _NoInterfaceError(_AbsentError):
    code = ErrorCode.NO_INTERFACE
    domain = ErrorDomain.INTERFACE
    prefix = "Interface not found: "


class _NoSecretError(_AbsentError):
    code = ErrorCode.NO_SECRET
    domain = ErrorDomain.SECRET
    prefix = "Secret not found: "


class _NoSnapshotError(_AbsentError):
    code = ErrorCode.NO_DOMAIN_SNAPSHOT
    domain = ErrorDomain.DOMAIN_SNAPSHOT
    prefix = "Domain snapshot not found: "


def _none(request: IncomingCall, *_: object) -> Answer:
    """How many: 0."""
    return (0,)


def _no_names(request: IncomingCall, *_: object) -> Answer:
    return ((),)


def _empty(request: IncomingCall, *_: object) -> Answer:
    """A list, and its length."""
    return (), 0


def _by_name(kind: type[_AbsentError], noun: str) -> Handler:
    def refuse(request: IncomingCall, name: str, *_: object) -> Answer:
        raise kind(f"no {noun} with matching name '{name}'")

    return refuse


def _by_uuid(kind: type[_AbsentError], noun: str) -> Handler:
    def refuse(request: IncomingCall, uuid: bytes) -> Answer:
        raise kind(f"no {noun} with matching uuid '{UUID(bytes=uuid)}'")

    return refuse


def _pool(request: IncomingCall, pool: wiretypes.PoolRef, *_: object) -> Answer:
    raise _NoPoolError(f"no storage pool with matching name '{pool.name}'")


def _volume(request: IncomingCall, vol: wiretypes.VolumeRef) -> Answer:
    raise _NoVolumeError(f"no storage vol with matching name '{vol.name}'")


def _volume_by_key(request: IncomingCall, key: str) -> Answer:
    raise _NoVolumeError(f"no storage vol with matching key '{key}'")


def _volume_by_path(request: IncomingCall, path: str) -> Answer:
    raise _NoVolumeError(f"no storage vol with matching path '{path}'")


def _interface(request: IncomingCall, iface: wiretypes.InterfaceRef) -> Answer:
    raise _NoInterfaceError(f"no interface with matching name '{iface.name}'")


def _interface_by_mac(request: IncomingCall, mac: str) -> Answer:
    raise _NoInterfaceError(f"no interface with matching mac '{mac}'")


def _secret_by_usage(request: IncomingCall, usage_type: int, usage_id: str) -> Answer:
    raise _NoSecretError(f"no secret with matching usage '{usage_id}'")


def _snapshot_by_name(request: IncomingCall, domain: ManagedDomain, name: str, flags: int) -> Answer:
    raise _NoSnapshotError(f"no domain snapshot with matching name '{name}'")


def _no_current_snapshot(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    raise _NoSnapshotError("the domain does not have a current snapshot")


_device = _by_name(_NoNodeDeviceError, "node device")

HANDLERS: dict[Procedure, Handler] = {
    # storage
    Remote.CONNECT_NUM_OF_STORAGE_POOLS: _none,
    Remote.CONNECT_LIST_STORAGE_POOLS: _no_names,
    Remote.CONNECT_NUM_OF_DEFINED_STORAGE_POOLS: _none,
    Remote.CONNECT_LIST_DEFINED_STORAGE_POOLS: _no_names,
    Remote.CONNECT_LIST_ALL_STORAGE_POOLS: _empty,
    Remote.STORAGE_POOL_LOOKUP_BY_NAME: _by_name(_NoPoolError, "storage pool"),
    Remote.STORAGE_POOL_LOOKUP_BY_UUID: _by_uuid(_NoPoolError, "storage pool"),
    Remote.STORAGE_POOL_LOOKUP_BY_VOLUME: _volume,
    Remote.STORAGE_POOL_GET_XML_DESC: _pool,
    Remote.STORAGE_POOL_GET_INFO: _pool,
    Remote.STORAGE_POOL_IS_ACTIVE: _pool,
    Remote.STORAGE_POOL_IS_PERSISTENT: _pool,
    Remote.STORAGE_POOL_GET_AUTOSTART: _pool,
    Remote.STORAGE_POOL_LIST_ALL_VOLUMES: _pool,
    Remote.STORAGE_POOL_NUM_OF_VOLUMES: _pool,
    Remote.STORAGE_POOL_LIST_VOLUMES: _pool,
    Remote.STORAGE_POOL_REFRESH: _pool,
    Remote.STORAGE_VOL_LOOKUP_BY_NAME: _pool,
    Remote.STORAGE_VOL_LOOKUP_BY_KEY: _volume_by_key,
    Remote.STORAGE_VOL_LOOKUP_BY_PATH: _volume_by_path,
    # host devices and interfaces
    Remote.NODE_NUM_OF_DEVICES: _none,
    Remote.NODE_LIST_DEVICES: _no_names,
    Remote.CONNECT_LIST_ALL_NODE_DEVICES: _empty,
    Remote.NODE_DEVICE_LOOKUP_BY_NAME: _device,
    Remote.NODE_DEVICE_GET_XML_DESC: _device,
    Remote.NODE_DEVICE_GET_PARENT: _device,
    Remote.NODE_DEVICE_NUM_OF_CAPS: _device,
    Remote.NODE_DEVICE_LIST_CAPS: _device,
    Remote.NODE_DEVICE_IS_ACTIVE: _device,
    Remote.CONNECT_NUM_OF_INTERFACES: _none,
    Remote.CONNECT_LIST_INTERFACES: _no_names,
    Remote.CONNECT_NUM_OF_DEFINED_INTERFACES: _none,
    Remote.CONNECT_LIST_DEFINED_INTERFACES: _no_names,
    Remote.CONNECT_LIST_ALL_INTERFACES: _empty,
    Remote.INTERFACE_LOOKUP_BY_MAC_STRING: _interface_by_mac,
    Remote.INTERFACE_LOOKUP_BY_NAME: _by_name(_NoInterfaceError, "interface"),
    Remote.INTERFACE_IS_ACTIVE: _interface,
    # secrets
    Remote.CONNECT_NUM_OF_SECRETS: _none,
    Remote.CONNECT_LIST_SECRETS: _no_names,
    Remote.CONNECT_LIST_ALL_SECRETS: _empty,
    Remote.SECRET_LOOKUP_BY_UUID: _by_uuid(_NoSecretError, "secret"),
    Remote.SECRET_LOOKUP_BY_USAGE: _secret_by_usage,
    # of a domain
    Remote.DOMAIN_SNAPSHOT_NUM: _none,
    Remote.DOMAIN_SNAPSHOT_LIST_NAMES: _no_names,
    Remote.DOMAIN_LIST_ALL_SNAPSHOTS: _empty,
    Remote.DOMAIN_HAS_CURRENT_SNAPSHOT: _none,
    Remote.DOMAIN_SNAPSHOT_CURRENT: _no_current_snapshot,
    Remote.DOMAIN_SNAPSHOT_LOOKUP_BY_NAME: _snapshot_by_name,
    Remote.DOMAIN_LIST_ALL_CHECKPOINTS: _empty,
    Remote.DOMAIN_GET_DISK_ERRORS: _empty,
}

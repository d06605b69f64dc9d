"""The wire's nouns: how an object is referred to in a message, and the typed parameter.

The names are libvirt's; a `uuid` is its 16 raw bytes (`uuid.UUID(bytes=...)` is the caller's choice, the wire does not
pay for it). Source: libvirt's remote_protocol.x.
"""

from typing import NamedTuple

from insula.model.numbers import ParameterType

INACTIVE_ID = -1
"""A domain's id while it does not run."""


class DomainRef(NamedTuple):
    """A domain; id is `INACTIVE_ID` when it does not run."""

    name: str
    uuid: bytes
    id: int = INACTIVE_ID


class NetworkRef(NamedTuple):
    """A virtual network."""

    name: str
    uuid: bytes


class PoolRef(NamedTuple):
    """A storage pool."""

    name: str
    uuid: bytes


class FilterRef(NamedTuple):
    """A network filter."""

    name: str
    uuid: bytes


class FilterBindingRef(NamedTuple):
    """A network filter bound to a host device."""

    portdev: str
    filtername: str


class VolumeRef(NamedTuple):
    """A storage volume in a pool; key is unique on the host."""

    pool: str
    name: str
    key: str


class NodeDeviceRef(NamedTuple):
    """A device of the host."""

    name: str


class InterfaceRef(NamedTuple):
    """An interface of the host."""

    name: str
    mac: str


class SecretRef(NamedTuple):
    """A secret; usage_type and usage_id say what it is for."""

    uuid: bytes
    usage_type: int
    usage_id: str


class SnapshotRef(NamedTuple):
    """A snapshot of a domain."""

    name: str
    dom: DomainRef


class CheckpointRef(NamedTuple):
    """A backup checkpoint of a domain."""

    name: str
    dom: DomainRef


class NetworkPortRef(NamedTuple):
    """A port of a virtual network."""

    net: NetworkRef
    uuid: bytes


class TypedParameter(NamedTuple):
    """A named value of stated type: tuning, statistics, job data. value: int, float, bool or str, as `type` says."""

    field: str
    type: ParameterType
    value: int | float | str

"""Linux system containers with the manners of virtual machines.

    from insula import Container

    with Container(image="debian-12", memory=512 << 20) as guest:
        print(guest.run(["cat", "/etc/os-release"], text=True).stdout)

    with insula.connect() as host:
        host.domain("web").start()

The names below are imported when they are first used, so that `import insula` costs nothing.
"""

from importlib import import_module

TYPE_CHECKING = False
"""As typing's, whose import costs 7 ms of a processor: programs that begin often begin with this module."""

if TYPE_CHECKING:
    from typing import Any

    from insula.engine.asynccontainer import AsyncContainer
    from insula.engine.container import Container
    from insula.engine.embedded import Engine
    from insula.engine.enter.guestprocess import GuestProcess
    from insula.engine.exitstatus import ExitMeaning, ExitStatus
    from insula.engine.guestinit import PowerAction
    from insula.engine.interfacespec import (
        Address,
        MacvlanInterface,
        MacvlanMode,
        MovedInterface,
        NetworkKind,
        Route,
        VethInterface,
    )
    from insula.engine.linkchange import LinkChange
    from insula.engine.spec import (
        Access,
        BindMount,
        Bytes,
        ContainerSpec,
        Device,
        DeviceKind,
        DirectoryRoot,
        GuestBindMount,
        IdMap,
        IdRange,
        ImageMount,
        Limits,
        MemoryPolicy,
        OverlayRoot,
        ResourceLimit,
        Seccomp,
        SeccompProfile,
        TmpfsMount,
        TmpfsRoot,
    )
    from insula.errors import (
        AccessDeniedError,
        ArgumentUnsupportedError,
        AuthenticationCancelledError,
        AuthenticationError,
        AuthenticationRequiredError,
        AuthenticationUnavailableError,
        ConfigurationError,
        DeviceMissingError,
        DomainExistsError,
        DomainNotFoundError,
        ImageExistsError,
        ImageNotFoundError,
        InsulaError,
        InternalError,
        InvalidArgumentError,
        KeeperError,
        MetadataNotFoundError,
        MissingNameError,
        MissingSourceError,
        MissingTargetError,
        NetworkExistsError,
        NetworkFilterBindingNotFoundError,
        NetworkFilterExistsError,
        NetworkFilterNotFoundError,
        NetworkMetadataNotFoundError,
        NetworkNotFoundError,
        NetworkPortNotFoundError,
        NobodyListensError,
        NoHostnameError,
        NoSupportError,
        OperationAbortedError,
        OperationFailedError,
        OperationInvalidError,
        OperationTimeoutError,
        OperationUnsupportedError,
        ReadOnlyError,
        ResourceBusyError,
        RpcError,
        SchemaError,
        StepError,
        UnsupportedConfigError,
        XmlError,
        XmlSyntaxError,
    )
    from insula.kernel.cgroups import BlockLimit, GroupKey, HeldLimits, HugePageLimit, MiscLimit, Stats
    from insula.sdk.async_domains import AsyncDomain, AsyncHost
    from insula.sdk.async_networks import AsyncNetwork
    from insula.sdk.blocking_domains import Domain, Host
    from insula.sdk.blocking_networks import Network
    from insula.sdk.connecting import connect, connect_async
    from insula.sdk.values import ExecRequest

    __version__: str

_PLACES = {
    "engine.asynccontainer": ("AsyncContainer",),
    "engine.container": ("Container",),
    "engine.embedded": ("Engine",),
    "engine.enter.guestprocess": ("GuestProcess",),
    "engine.exitstatus": ("ExitMeaning", "ExitStatus"),
    "engine.guestinit": ("PowerAction",),
    "engine.interfacespec": (
        "Address",
        "MacvlanInterface",
        "MacvlanMode",
        "MovedInterface",
        "NetworkKind",
        "Route",
        "VethInterface",
    ),
    "engine.linkchange": ("LinkChange",),
    "engine.spec": (
        "Access",
        "BindMount",
        "Bytes",
        "ContainerSpec",
        "Device",
        "DeviceKind",
        "DirectoryRoot",
        "GuestBindMount",
        "IdMap",
        "IdRange",
        "ImageMount",
        "Limits",
        "MemoryPolicy",
        "OverlayRoot",
        "ResourceLimit",
        "Seccomp",
        "SeccompProfile",
        "TmpfsMount",
        "TmpfsRoot",
    ),
    "errors": (
        "AccessDeniedError",
        "ArgumentUnsupportedError",
        "AuthenticationCancelledError",
        "AuthenticationError",
        "AuthenticationRequiredError",
        "AuthenticationUnavailableError",
        "ConfigurationError",
        "DeviceMissingError",
        "DomainExistsError",
        "DomainNotFoundError",
        "ImageExistsError",
        "ImageNotFoundError",
        "InsulaError",
        "InternalError",
        "InvalidArgumentError",
        "KeeperError",
        "MetadataNotFoundError",
        "MissingNameError",
        "MissingSourceError",
        "MissingTargetError",
        "NetworkExistsError",
        "NetworkFilterBindingNotFoundError",
        "NetworkFilterExistsError",
        "NetworkFilterNotFoundError",
        "NetworkMetadataNotFoundError",
        "NetworkNotFoundError",
        "NetworkPortNotFoundError",
        "NobodyListensError",
        "NoHostnameError",
        "NoSupportError",
        "OperationAbortedError",
        "OperationFailedError",
        "OperationInvalidError",
        "OperationTimeoutError",
        "OperationUnsupportedError",
        "ReadOnlyError",
        "ResourceBusyError",
        "RpcError",
        "SchemaError",
        "StepError",
        "UnsupportedConfigError",
        "XmlError",
        "XmlSyntaxError",
    ),
    "kernel.cgroups": ("BlockLimit", "GroupKey", "HeldLimits", "HugePageLimit", "MiscLimit", "Stats"),
    "sdk.async_domains": ("AsyncDomain", "AsyncHost"),
    "sdk.async_networks": ("AsyncNetwork",),
    "sdk.blocking_domains": ("Domain", "Host"),
    "sdk.blocking_networks": ("Network",),
    "sdk.connecting": ("connect", "connect_async"),
    "sdk.values": ("ExecRequest",),
}
"""The public names by the modules that have them."""

__all__ = [
    "Access",
    "AccessDeniedError",
    "Address",
    "ArgumentUnsupportedError",
    "AsyncContainer",
    "AsyncDomain",
    "AsyncHost",
    "AsyncNetwork",
    "AuthenticationCancelledError",
    "AuthenticationError",
    "AuthenticationRequiredError",
    "AuthenticationUnavailableError",
    "BindMount",
    "BlockLimit",
    "Bytes",
    "ConfigurationError",
    "Container",
    "ContainerSpec",
    "Device",
    "DeviceKind",
    "DeviceMissingError",
    "DirectoryRoot",
    "Domain",
    "DomainExistsError",
    "DomainNotFoundError",
    "Engine",
    "ExecRequest",
    "ExitMeaning",
    "ExitStatus",
    "GroupKey",
    "GuestBindMount",
    "GuestProcess",
    "HeldLimits",
    "Host",
    "HugePageLimit",
    "IdMap",
    "IdRange",
    "ImageExistsError",
    "ImageMount",
    "ImageNotFoundError",
    "InsulaError",
    "InternalError",
    "InvalidArgumentError",
    "KeeperError",
    "Limits",
    "LinkChange",
    "MacvlanInterface",
    "MacvlanMode",
    "MemoryPolicy",
    "MetadataNotFoundError",
    "MiscLimit",
    "MissingNameError",
    "MissingSourceError",
    "MissingTargetError",
    "MovedInterface",
    "Network",
    "NetworkExistsError",
    "NetworkFilterBindingNotFoundError",
    "NetworkFilterExistsError",
    "NetworkFilterNotFoundError",
    "NetworkKind",
    "NetworkMetadataNotFoundError",
    "NetworkNotFoundError",
    "NetworkPortNotFoundError",
    "NoHostnameError",
    "NoSupportError",
    "NobodyListensError",
    "OperationAbortedError",
    "OperationFailedError",
    "OperationInvalidError",
    "OperationTimeoutError",
    "OperationUnsupportedError",
    "OverlayRoot",
    "PowerAction",
    "ReadOnlyError",
    "ResourceBusyError",
    "ResourceLimit",
    "Route",
    "RpcError",
    "SchemaError",
    "Seccomp",
    "SeccompProfile",
    "Stats",
    "StepError",
    "TmpfsMount",
    "TmpfsRoot",
    "UnsupportedConfigError",
    "VethInterface",
    "XmlError",
    "XmlSyntaxError",
    "connect",
    "connect_async",
]


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        from importlib.metadata import version

        return version("insula")
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"insula.{place}"), name)
    raise AttributeError(f"module 'insula' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})

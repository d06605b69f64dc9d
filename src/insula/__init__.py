"""Linux system containers with the manners of virtual machines.

    from insula import Container

    with Container("/srv/debian", ephemeral=True, memory=512 << 20) as guest:
        print(guest.run(["cat", "/etc/os-release"]).stdout.decode())

The names below are imported when they are first used, so that `import insula` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insula.engine.container import Container
    from insula.engine.embedded import Engine
    from insula.engine.enter.guestprocess import GuestProcess
    from insula.engine.exitstatus import ExitMeaning, ExitStatus
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
        ContainerSpec,
        Device,
        DeviceKind,
        DirectoryRoot,
        GuestBindMount,
        IdMap,
        IdRange,
        ImageMount,
        Limits,
        OverlayRoot,
        Seccomp,
        SeccompProfile,
        TmpfsMount,
        TmpfsRoot,
    )
    from insula.kernel.cgroups import BlockLimit

__all__ = [
    "Access",
    "Address",
    "BindMount",
    "BlockLimit",
    "Container",
    "ContainerSpec",
    "Device",
    "DeviceKind",
    "DirectoryRoot",
    "Engine",
    "ExitMeaning",
    "ExitStatus",
    "GuestBindMount",
    "GuestProcess",
    "IdMap",
    "IdRange",
    "ImageMount",
    "Limits",
    "LinkChange",
    "MacvlanInterface",
    "MacvlanMode",
    "MovedInterface",
    "NetworkKind",
    "OverlayRoot",
    "Route",
    "Seccomp",
    "SeccompProfile",
    "TmpfsMount",
    "TmpfsRoot",
    "VethInterface",
]

_PLACES = {
    "Address": "engine.interfacespec",
    "BlockLimit": "kernel.cgroups",
    "Container": "engine.container",
    "Engine": "engine.embedded",
    "ExitMeaning": "engine.exitstatus",
    "ExitStatus": "engine.exitstatus",
    "GuestProcess": "engine.enter.guestprocess",
    "LinkChange": "engine.linkchange",
    "MacvlanInterface": "engine.interfacespec",
    "MacvlanMode": "engine.interfacespec",
    "MovedInterface": "engine.interfacespec",
    "NetworkKind": "engine.interfacespec",
    "Route": "engine.interfacespec",
    "VethInterface": "engine.interfacespec",
}
"""Modules of the public names; the others are nouns of `engine.spec`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'insula' has no attribute '{name}'")
    return getattr(import_module(f"insula.{_PLACES.get(name, 'engine.spec')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

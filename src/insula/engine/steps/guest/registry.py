"""All steps performed inside, by name: the vocabulary of the plan's inner part."""

from typing import Any

from insula.engine.steps.guest import confinement, execution, locking, namespaces, roottree, terminals
from insula.engine.steps.guest.gueststep import GuestStep

GUEST_STEPS: dict[str, type[GuestStep]] = {
    each.__name__: each
    for each in (
        namespaces.MakeNetwork,
        namespaces.MakeTime,
        namespaces.JoinGroups,
        namespaces.BecomeRoot,
        namespaces.RootTheGroups,
        namespaces.EnterTime,
        namespaces.SetHostname,
        namespaces.BringUpLoopback,
        namespaces.EnterContainer,
        roottree.KeepMountsPrivate,
        roottree.AttachRoot,
        roottree.MakeFilesystem,
        roottree.AttachFilesystem,
        roottree.MountFilesystem,
        roottree.AttachMount,
        roottree.ShowElsewhere,
        roottree.MountMemory,
        roottree.ProtectPaths,
        roottree.MaskPaths,
        roottree.WriteSettings,
        roottree.MakeFile,
        roottree.PivotRoot,
        roottree.MountForUnit,
        locking.LockMounts,
        terminals.MakeConsoles,
        terminals.MakeTerminal,
        terminals.TakeTerminal,
        terminals.TakeStreams,
        confinement.LimitResource,
        confinement.JoinFreshKeyring,
        confinement.BecomeUser,
        confinement.LoadFilters,
        confinement.KeepCapabilities,
        confinement.RefuseNewPrivileges,
        execution.PassDescriptors,
        execution.Execute,
    )
}

STEP = "step"
"""The key that names a step among its fields."""


def encode_guest_step(step: GuestStep) -> dict[str, Any]:
    """Return the step as JSON-able data."""
    names = [name for kind in type(step).__mro__ for name in getattr(kind, "__slots__", ())]
    return {STEP: type(step).__name__, **{name: getattr(step, name) for name in names}}


def decode_guest_step(data: dict[str, Any]) -> GuestStep:
    """Return the step that `encode_guest_step` made data from. Raises: ValueError, TypeError if it is none."""
    fields = dict(data)
    name = fields.pop(STEP, None)
    kind = GUEST_STEPS.get(name)
    if kind is None:
        raise ValueError(f"no such step: {name!r}")
    return kind(**fields)

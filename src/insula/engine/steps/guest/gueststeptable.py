"""All steps performed inside, by name: the vocabulary of the plan's inner part."""

from insula.engine.steps.guest import confinement, execution, locking, namespaces, protections, roottree, terminals
from insula.engine.steps.guest.gueststep import GuestStep

GUEST_STEPS: dict[str, type[GuestStep]] = {
    each.__name__: each
    for each in (
        namespaces.MakeNetwork,
        namespaces.MakeTime,
        namespaces.JoinGroups,
        namespaces.AwaitAside,
        namespaces.BecomeRoot,
        namespaces.RootTheGroups,
        namespaces.EnterTime,
        namespaces.SetHostname,
        namespaces.BringUpLoopback,
        namespaces.EnterContainer,
        roottree.KeepMountsPrivate,
        roottree.ShareMounts,
        roottree.OpenStaged,
        roottree.AttachRoot,
        roottree.MakeFilesystem,
        roottree.AttachFilesystem,
        roottree.MountFilesystem,
        roottree.AttachMount,
        roottree.ShowElsewhere,
        roottree.MountMemory,
        roottree.TakeRoot,
        roottree.DetachMount,
        protections.ProtectPaths,
        protections.MaskPaths,
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
        confinement.LearnAccount,
        confinement.BecomeUser,
        confinement.LoadFilters,
        confinement.KeepCapabilities,
        confinement.RefuseNewPrivileges,
        execution.PassDescriptors,
        execution.Finish,
        execution.Execute,
    )
}

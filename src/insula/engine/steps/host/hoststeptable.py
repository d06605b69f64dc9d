"""All steps performed on the host's side, by name."""

from insula.engine.steps.host import childsetup, devicetree, groups, guestlinks, layers, queues, scopes
from insula.engine.steps.host.hoststep import HostStep

HOST_STEPS: dict[str, type[HostStep]] = {
    each.__name__: each
    for each in (
        groups.MakeGroup,
        groups.MakeControllerGroups,
        groups.LimitGroup,
        groups.AllowDevices,
        groups.ChangeDevices,
        groups.RefuseSocketOptions,
        scopes.AskForScope,
        scopes.MakeGroupInScope,
        scopes.LimitScope,
        scopes.AllowDevicesInScope,
        scopes.RefuseSocketOptionsInScope,
        devicetree.MakeDevices,
        devicetree.CopyNode,
        devicetree.TakeNode,
        layers.CopyTree,
        layers.LockTree,
        layers.MakeMemory,
        layers.OpenLayers,
        layers.OpenLayersInMemory,
        layers.StackLayers,
        layers.MountImage,
        queues.FetchQueues,
        childsetup.MapIds,
        childsetup.SetClockOffsets,
        childsetup.AllowLimit,
        childsetup.ResetOutOfMemoryScore,
        childsetup.FetchNetlink,
        childsetup.ConnectInterfaces,
        childsetup.FindAccount,
        guestlinks.ChangeLink,
    )
}

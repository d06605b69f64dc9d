"""All steps performed on the host's side, by name."""

from insula.engine.steps.host import (
    childsetup,
    devicetree,
    groups,
    guestlinks,
    imagedevices,
    imagemounts,
    layers,
    notifysocket,
    queues,
    scopes,
    viewconnections,
)
from insula.engine.steps.host.hoststep import HostStep

HOST_STEPS: dict[str, type[HostStep]] = {
    each.__name__: each
    for each in (
        groups.MakeGroup,
        groups.MakeControllerGroups,
        groups.LimitGroup,
        groups.SeatGroup,
        groups.AllowDevices,
        groups.ChangeDevices,
        groups.RefuseSocketOptions,
        groups.HoldToAddresses,
        scopes.TakeScope,
        devicetree.MakeDevices,
        devicetree.CopyNode,
        devicetree.TakeNode,
        notifysocket.MakeNotifySocket,
        imagedevices.AttachImage,
        layers.CopyTree,
        layers.LockTree,
        layers.MakeMemory,
        layers.OpenLayers,
        layers.OpenLayersInMemory,
        layers.StackLayers,
        imagemounts.MountImage,
        queues.FetchQueues,
        viewconnections.ConnectView,
        viewconnections.ServeView,
        childsetup.MapIds,
        childsetup.SetClockOffsets,
        childsetup.AllowLimit,
        childsetup.ResetOutOfMemoryScore,
        childsetup.FetchNetlink,
        childsetup.ConnectInterfaces,
        childsetup.FindAccount,
        guestlinks.ChangeLink,
        guestlinks.PlugInterface,
        guestlinks.UnplugInterface,
        guestlinks.ChangePort,
    )
}

"""How init can say that it is ready: a socket of the host's, shown in the guest.

Source: sd_notify(3); where it is, as with systemd-nspawn(1), --notify-ready.
"""

from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import AttachMount
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.notifysocket import MakeNotifySocket

NOTIFY_SOCKET = "/run/host/notify"
"""Where init finds it; in its environment as the variable of this name."""
_SOURCE = "notify"


def notification(spec: ContainerSpec) -> tuple[list[HostStep], list[GuestStep]]:
    """Return the steps that make the socket, and those that show it inside."""
    if not spec.notifies:
        return [], []
    uid, gid = (0, 0) if spec.idmap is None else (spec.idmap.root_uid, spec.idmap.root_gid)
    why = "the domain is ready once its init says so"
    return (
        [MakeNotifySocket(why=why, name=_SOURCE, uid=uid, gid=gid)],
        [AttachMount(why=why, source=_SOURCE, target=NOTIFY_SOCKET)],
    )

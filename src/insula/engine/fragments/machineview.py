"""How a guest sees a machine of its own: its processors, memory and load instead of the host's.

Where the kernel's own proc and sysfs are covered by it, further user namespaces could mount neither: so both stand once
more in full view below /dev/.insula, for systems by `kernelfiles.own_boot`, for other programs by this.
"""

from insula.engine.facts import Facts
from insula.engine.fragments.speccheck import own_network
from insula.engine.guestinit import starts_system
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.ownboot import ShowUncovered
from insula.engine.steps.guest.viewbinds import ShowMachine
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.viewconnections import ConnectView, ServeView

_SOURCE = "machine"


def machine_view(spec: ContainerSpec, facts: Facts) -> tuple[list[HostStep], list[GuestStep]]:
    """Return the steps that have a view served, and those that show it inside; none where it is off, or cannot be."""
    if not spec.machine_view or not facts.viewed:
        return [], []
    host: list[HostStep] = [
        ConnectView(why="what programs read of their machine is the guest's", name=_SOURCE),
        ServeView(
            why="the guest's limits and use are known from now on",
            uuid=spec.uuid,
            domain=spec.name,
            idmap=spec.idmap,
            time_offsets=spec.time_offsets,
        ),
    ]
    why = "free, top, nproc and their like tell of the guest's machine, not of the host's"
    inner: list[GuestStep] = [ShowMachine(why=why, source=_SOURCE, paths=list(facts.viewed))]
    if spec.idmap is not None and not starts_system(spec.init.argv):
        why = "guests of its own may mount only what is in full view somewhere"
        sources = ("proc", "sys") if own_network(spec) else ("proc",)
        inner = [*(ShowUncovered(why=why, source=each) for each in sources), *inner]
    return host, inner

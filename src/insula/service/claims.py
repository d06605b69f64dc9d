"""What domains claim of the host's processors: from a definition to a claim, and what is to be told about it.

The number of virtual processors is how many of the host's a guest has, as KVM's users expect, so that all programs
inside count the same. libvirt's LXC driver only shows the number; whoever wants that says so, in the definition or for
all domains. libvirt's order holds among pins: a processor's own, then the `cpuset`, which `placement='auto'` overrides.
"""

from insula.model.domain import DomainDefinition
from insula.model.resourcetuning import CpuTune, PlacementMode
from insula.model.scalars import YesNo
from insula.model.sizes import CpuSet, format_cpuset
from insula.service.seats import Claim, Pin, Seated

_USUAL_PERIOD = 100_000


def claim_of(domain: DomainDefinition, *, confine: bool) -> Claim:
    """Return what a domain claims. confine: whether one that does not say so is held to its number."""
    used, pins = domain.vcpus_in_use, pins_of(domain)
    pinned = tuple(Pin(vcpu=each, cpus=format_cpuset(pins[each])) for each in used if each in pins)
    allowed = allowed_of(domain)
    nodes = domain.numa_tune.memory.nodes if domain.numa_tune and domain.numa_tune.memory else None
    said = domain.settings.confine_vcpus
    return Claim(
        free=len(used) - len(pinned),
        pins=pinned,
        allowed=None if allowed is None else format_cpuset(allowed),
        nodes=None if nodes is None else format_cpuset(nodes),
        whole=not confine if said is None else said is YesNo.NO,
    )


def pins_of(domain: DomainDefinition) -> dict[int, CpuSet]:
    """Return the pins of single virtual processors."""
    return {each.vcpu: each.cpus for each in domain.cpu_tune.vcpu_pins} if domain.cpu_tune else {}


def allowed_of(domain: DomainDefinition) -> CpuSet | None:
    """Return where a virtual processor may be that has no pin of its own, None: anywhere."""
    return None if domain.vcpu.placement is PlacementMode.AUTO else domain.vcpu.cpus


def shortcomings(domain: DomainDefinition, seated: Seated | None) -> list[str]:
    """Return what an administrator may not expect of a guest that has these processors."""
    if seated is None:
        return []
    told, claim, seats = [], seated.claim, len(seated.cpus)
    if not claim.whole and seats < claim.number:
        told.append(
            f"it has {claim.number} virtual processors in use and only {seats} of the host's: there are no more, or "
            "its pins lie on each other"
        )
    tune = domain.cpu_tune or CpuTune()
    quota = tune.quota if tune.quota is not None else tune.global_quota
    period = tune.period if tune.period is not None else tune.global_period
    if quota is not None and quota > seats * (period or _USUAL_PERIOD):
        told.append(
            f"its quota is the time of {quota / (period or _USUAL_PERIOD):g} processors, and it has {seats}: the quota "
            "limits nothing"
        )
    return told

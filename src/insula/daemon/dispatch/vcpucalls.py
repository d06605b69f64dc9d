"""A domain's virtual processors: how many, which, where, and what they do."""

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import cpu_maps
from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect
from insula.model.sizes import CPUSET_MAX, CpuSet, parse_cpuset
from insula.rpc.codes.requestcodes import VcpuFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service import vcpus
from insula.service.managed import ManagedDomain

_AFFECT = Affect.LIVE | Affect.CONFIG


# How many


def _count(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    """GUEST: as many as programs inside count, which no agent has to be asked for."""
    request.allow_flags(flags, _AFFECT | VcpuFlags.MAXIMUM | VcpuFlags.GUEST)
    if flags & VcpuFlags.GUEST:
        _refuse_beside_guest(flags, VcpuFlags.MAXIMUM | VcpuFlags.CONFIG)
        return (len(vcpus.seen_inside(domain)),)
    return (vcpus.count(domain, Affect(flags & _AFFECT), maximum=bool(flags & VcpuFlags.MAXIMUM)),)


def _maximum(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (domain.current.vcpu.count,)


async def _set_count(request: IncomingCall, domain: ManagedDomain, nvcpus: int) -> Answer:
    await request.services.vcpus.set_count(domain, nvcpus, Affect.LIVE)
    return None


async def _set_count_with_flags(request: IncomingCall, domain: ManagedDomain, nvcpus: int, flags: int) -> Answer:
    """HOTPLUGGABLE is how all of a container's are. GUEST is about what runs, as libvirt's agent has it."""
    request.allow_flags(flags, _AFFECT | VcpuFlags.MAXIMUM | VcpuFlags.GUEST | VcpuFlags.HOTPLUGGABLE)
    verbs, affect = request.services.vcpus, Affect(flags & _AFFECT)
    if flags & VcpuFlags.GUEST:
        _refuse_beside_guest(flags, VcpuFlags.MAXIMUM | VcpuFlags.CONFIG)
        await verbs.set_count(domain, nvcpus, Affect.LIVE)
    elif flags & VcpuFlags.MAXIMUM:
        await verbs.set_maximum(domain, nvcpus, affect)
    else:
        await verbs.set_count(domain, nvcpus, affect)
    return None


def _refuse_beside_guest(flags: int, others: VcpuFlags) -> None:
    for each in VcpuFlags(flags) & others:
        word = "VIR_DOMAIN_VCPU_MAXIMUM" if each is VcpuFlags.MAXIMUM else "VIR_DOMAIN_AFFECT_CONFIG"
        raise InvalidArgumentError(f"flags '{word}' and 'VIR_DOMAIN_VCPU_GUEST' are mutually exclusive")


# Which


async def _set_one(request: IncomingCall, domain: ManagedDomain, cpumap: str, state: int, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT)
    affect = Affect(flags & _AFFECT)
    await request.services.vcpus.enable(domain, _listed(cpumap), affect, enabled=_is_on(state))
    return None


def _guest_vcpus(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (vcpus.guest_vcpus(domain),)


async def _set_guest_vcpus(request: IncomingCall, domain: ManagedDomain, cpumap: str, state: int, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.vcpus.enable(domain, _listed(cpumap), Affect.LIVE, enabled=_is_on(state))
    return None


def _listed(text: str) -> CpuSet:
    try:
        return parse_cpuset(text[: CPUSET_MAX + 1])
    except ValueError as error:
        raise InvalidArgumentError(f"'{text[:64]}' is no list of vcpus: {error}") from error


def _is_on(state: int) -> bool:
    if state not in (0, 1):
        raise InvalidArgumentError(f"a vcpu's state is 0 or 1, not {state}")
    return state == 1


# Where, and what they do


def _vcpus(request: IncomingCall, domain: ManagedDomain, maxinfo: int, maplen: int) -> Answer:
    found = vcpus.vcpus(domain, request.services.host.cpu_map().online)[:maxinfo]
    maps = cpu_maps([each.affinity for each in found], maplen)
    return [(each.number, each.state, each.cpu_time, each.cpu) for each in found], maps


def _pins(request: IncomingCall, domain: ManagedDomain, ncpumaps: int, maplen: int, flags: int) -> Answer:
    pins = vcpus.pins(domain, Affect(flags & _AFFECT), request.services.host.cpu_map().online)[:ncpumaps]
    return cpu_maps(pins, maplen), len(pins)


async def _pin(request: IncomingCall, domain: ManagedDomain, vcpu: int, cpumap: bytes) -> Answer:
    await request.services.vcpus.pin(domain, vcpu, _drawn(cpumap), Affect.LIVE)
    return None


async def _pin_with_flags(request: IncomingCall, domain: ManagedDomain, vcpu: int, cpumap: bytes, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT)
    await request.services.vcpus.pin(domain, vcpu, _drawn(cpumap), Affect(flags & _AFFECT))
    return None


async def _pin_emulator(request: IncomingCall, domain: ManagedDomain, cpumap: bytes, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT)
    await request.services.vcpus.pin_emulator(domain, _drawn(cpumap), Affect(flags & _AFFECT))
    return None


def _emulator_pin(request: IncomingCall, domain: ManagedDomain, maplen: int, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT)
    pin = vcpus.emulator_pin(domain, Affect(flags & _AFFECT), request.services.host.cpu_map().online)
    return cpu_maps([pin], maplen), 1


def _drawn(cpumap: bytes) -> CpuSet:
    return CpuSet(mask=int.from_bytes(cpumap, "little"))


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_VCPUS_FLAGS: _count,
    Remote.DOMAIN_GET_MAX_VCPUS: _maximum,
    Remote.DOMAIN_SET_VCPUS: _set_count,
    Remote.DOMAIN_SET_VCPUS_FLAGS: _set_count_with_flags,
    Remote.DOMAIN_SET_VCPU: _set_one,
    Remote.DOMAIN_GET_GUEST_VCPUS: _guest_vcpus,
    Remote.DOMAIN_SET_GUEST_VCPUS: _set_guest_vcpus,
    Remote.DOMAIN_GET_VCPUS: _vcpus,
    Remote.DOMAIN_GET_VCPU_PIN_INFO: _pins,
    Remote.DOMAIN_PIN_VCPU: _pin,
    Remote.DOMAIN_PIN_VCPU_FLAGS: _pin_with_flags,
    Remote.DOMAIN_PIN_EMULATOR: _pin_emulator,
    Remote.DOMAIN_GET_EMULATOR_PIN_INFO: _emulator_pin,
}

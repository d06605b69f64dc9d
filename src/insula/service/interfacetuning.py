"""How fast a domain's interfaces may be: domiftune. Source of names: libvirt's VIR_DOMAIN_BANDWIDTH_… parameters."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from insula.errors import InsulaError, InvalidArgumentError, UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Bandwidth, Interface, InterfaceType, Rate
from insula.model.numbers import Affect, ParameterType
from insula.network.cardports import traffic_limits
from insula.service.impact import Changes, asked
from insula.service.jobs import OperationKind
from insula.service.livedevices import LiveDevices
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter, Value, checked

_INBOUND = ("average", "peak", "burst", "floor")
_OUTBOUND = ("average", "peak", "burst")
_TABLE = {
    **{f"inbound.{each}": ParameterType.UINT for each in _INBOUND},
    **{f"outbound.{each}": ParameterType.UINT for each in _OUTBOUND},
}


class InterfaceTuningVerbs:
    """Asks for limits of interfaces and changes them. actual: what a card is today, as `Resolver` has it."""

    def __init__(self, *, changes: Changes, guests: LiveDevices, actual: Callable[[Interface], Interface]) -> None:
        self._changes = changes
        self._guests = guests
        self._actual = actual

    def parameters(self, managed: ManagedDomain, device: str, affect: Affect) -> list[Parameter]:
        """Return the limits of an interface, 0 for none, by its name on the host or in the guest, or its MAC address.

        Raises: InvalidArgumentError for an interface that the domain has not.
        """
        meant = asked(managed, affect)
        domain = managed.current if meant.config is None else meant.config
        card = _card(domain, _mac(managed, device))
        return bandwidth_parameters(self._bandwidth(card, domain))

    async def set_parameters(
        self, managed: ManagedDomain, device: str, parameters: Sequence[Parameter], affect: Affect
    ) -> None:
        """Replace the limits of the directions that are named; an average of 0 takes a direction's limit away.

        Raises: InvalidArgumentError, and nothing is changed; what changing an interface that is plugged in raises.
        """
        values = checked(parameters, _TABLE)

        def changed(mac: str, domain: DomainDefinition) -> DomainDefinition:
            card = _card(domain, mac)
            limited = replace(card, bandwidth=_changed(self._bandwidth(card, domain) or Bandwidth(), values))
            if self._bandwidth(limited, domain) != limited.bandwidth:
                limited = replace(limited, bandwidth=Bandwidth())  # without any it would have its portgroup's again
            traffic_limits(limited.bandwidth)
            if values.get("inbound.floor") and card.type is not InterfaceType.NETWORK:
                raise UnsupportedConfigError(
                    f"interface {mac} of domain '{domain.name}' has no floor: only a network knows all its guests"
                )
            cards = tuple(limited if each is card else each for each in domain.devices.interfaces)
            return replace(domain, devices=replace(domain.devices, interfaces=cards))

        async def work() -> None:
            mac = _mac(managed, device)
            await self._changes.change(managed, affect, partial(changed, mac), apply=self._guests.change)

        await managed.lock.perform("set interface parameters", work, change=OperationKind.LIMITS)

    def _bandwidth(self, card: Interface, domain: DomainDefinition) -> Bandwidth | None:
        """Return a card's bandwidth; while it is plugged in without one of its own, that of its portgroup."""
        if domain.id is None or card.bandwidth is not None or card.type is not InterfaceType.NETWORK:
            return card.bandwidth
        try:
            return self._actual(card).bandwidth
        except InsulaError:  # its network has stopped, or lost the portgroup
            return None


def bandwidth_parameters(bandwidth: Bandwidth | None) -> list[Parameter]:
    """Return what a bandwidth says, 0 for no limit."""
    bandwidth = bandwidth or Bandwidth()
    return [
        Parameter(f"{word}.{each}", ParameterType.UINT, getattr(rate or Rate(), each) or 0)
        for word, rate, names in (
            ("inbound", bandwidth.inbound, _INBOUND),
            ("outbound", bandwidth.outbound, _OUTBOUND),
        )
        for each in names
    ]


def _changed(former: Bandwidth, values: dict[str, Value]) -> Bandwidth | None:
    made = Bandwidth(
        inbound=_rate(former.inbound, "inbound", values), outbound=_rate(former.outbound, "outbound", values)
    )
    return None if made == Bandwidth() else made


def _rate(former: Rate | None, word: str, values: dict[str, Value]) -> Rate | None:
    named = {name: int(values[f"{word}.{name}"]) for name in _INBOUND if f"{word}.{name}" in values}
    if not named:
        return former
    made = Rate(
        average=named.get("average") or None,
        peak=named.get("peak") or None,
        floor=named.get("floor") or None,
        burst=named.get("burst") or None,
    )
    return None if made == Rate() else made


def _mac(managed: ManagedDomain, device: str) -> str:
    """Return the MAC address of the interface that is meant; only a running one has a name on the host."""
    wanted = device.lower()
    guests = {each.mac.lower(): each.guest for each in managed.run.container.record.connected} if managed.run else {}
    for domain in filter(None, (managed.current, managed.config)):
        for each in domain.devices.interfaces:
            mac = str(each.mac).lower()
            if wanted in (mac, (each.target or "").lower(), guests.get(mac, "").lower()):
                return mac
    raise InvalidArgumentError(f"cannot find interface '{device}' of domain '{managed.name}'")


def _card(domain: DomainDefinition, mac: str) -> Interface:
    for each in domain.devices.interfaces:
        if str(each.mac).lower() == mac:
            return each
    raise InvalidArgumentError(f"domain '{domain.name}' has no interface {mac} in this definition")

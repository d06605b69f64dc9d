"""Documents of the model's domains; read and written once, since those of one walk are those of every other.

What makes a domain of a text and a text of a domain are functions without state; a third of a walk's time was theirs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import ModuleType
from typing import Any
from uuid import UUID

from insula.model import domain as domains
from insula.model.domain import DomainDefinition
from insula.service import incoming
from tests.simulation.model import CACHE, FULL, Definition, Follows

REMEMBERED = 1 << 14


XML = """<domain type='lxc'><name>{name}</name><uuid>{uuid}</uuid><title>{title}</title>
<memory unit='MiB'>256</memory><currentMemory unit='MiB'>{memory}</currentMemory><vcpu>1</vcpu>
<cputune><shares>{shares}</shares></cputune><os><type>exe</type></os>
<on_poweroff>{off}</on_poweroff><on_reboot>{reboot}</on_reboot><on_crash>{crash}</on_crash><devices>
<filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>
<console type='pty'/>{interface}</devices></domain>"""

MACS = {"web": "52:54:00:00:00:01", "mail": "52:54:00:00:00:02"}
CARD = "<interface type='{type}'><mac address='{mac}'/><source {type}='{source}'/></interface>"


def document(uuid: UUID, name: str, definition: Definition, *, root: str = "/srv") -> str:
    """Return the document of a domain."""
    off, reboot, crash = (each.value for each in definition.after)
    kind = "bridge" if definition.card == "br0" else "network"
    card = CARD.format(type=kind, mac=MACS[name], source=definition.card) if definition.card else ""
    said = definition._asdict()
    return XML.format(name=name, uuid=uuid, root=root, off=off, reboot=reboot, crash=crash, interface=card, **said)


def understood(domain: DomainDefinition) -> Definition:
    """Return what a document said."""
    after = (domain.on_poweroff, domain.on_reboot, domain.on_crash)
    return Definition(
        title=domain.title or "",
        memory=domain.memory_now // 1024,
        shares=(domain.cpu_tune.shares if domain.cpu_tune else None) or 1024,
        devices=devices_in(domain),
        card=_card_in(domain),
        after=(Follows(after[0].value), Follows(after[1].value), Follows(after[2].value)),
    )


def _card_in(domain: DomainDefinition) -> str:
    sources = [each.source for each in domain.devices.interfaces if each.source is not None]
    return next((each.network or each.bridge or "" for each in sources), "")


DEVICE_XML = {
    CACHE: "<filesystem type='ram'><source usage='1024' units='KiB'/><target dir='/cache'/></filesystem>",
    FULL: "<hostdev mode='capabilities' type='misc'><source><char>/dev/full</char></source></hostdev>",
}


def devices_in(domain: DomainDefinition) -> frozenset[str]:
    """Return what a definition says of them."""
    cache = any(str(each.target) == "/cache" for each in domain.devices.filesystems)
    return frozenset([CACHE] * cache + [FULL] * bool(domain.devices.host_devices))


PURE = ((domains, "parse"), (domains, "read"), (domains, "completed"), (domains, "dump"), (incoming, "validate"))
"""What is called for a document, where it is called."""


@cache
def _remembering() -> tuple[tuple[ModuleType, str, Callable[..., Any]], ...]:
    """Return what takes the place of each."""
    return tuple((module, name, _hashing_lists(getattr(module, name))) for module, name in PURE)


def _hashing_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    remembering = lru_cache(REMEMBERED)(function)

    def called(*given: Any, **named: Any) -> Any:
        return remembering(*given, **{key: tuple(each) if type(each) is list else each for key, each in named.items()})

    return called


@contextmanager
def remembered() -> Iterator[None]:
    """Have no document read or written twice while the block lasts."""
    originals = [(module, name, getattr(module, name)) for module, name, _ in _remembering()]
    for module, name, function in _remembering():
        setattr(module, name, function)
    try:
        yield
    finally:
        for module, name, function in originals:
            setattr(module, name, function)

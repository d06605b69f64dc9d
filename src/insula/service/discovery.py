"""A domain for a guest that is found alive and that nothing on a disk describes."""

from collections.abc import Callable
from uuid import UUID

from insula.engine.launch.runningcontainer import Running
from insula.model.domain import DomainDefinition
from insula.model.foreign import escaped_text
from insula.model.xmlmap import Part
from insula.service.unread import Description

_XML = """
<domain type='lxc'><name>{name}</name><uuid>{uuid}</uuid><memory unit='b'>{memory}</memory>
<os><type>exe</type><init>{init}</init></os><devices/></domain>
"""
_MEMORY = 64 << 20
"""Bytes, where the guest's limit is not known: the definition must have some."""


def described(uuid: UUID, name: str, container: Running) -> DomainDefinition:
    """Return what can be said of a guest by what its container was made of."""
    spec = container.record.spec
    init = spec.init.argv[0] if spec.init.argv else "/sbin/init"
    text = _XML.format(
        name=escaped_text(name), uuid=uuid, memory=spec.limits.memory or _MEMORY, init=escaped_text(init)
    )
    return DomainDefinition.load(text, Part.LIVE | Part.SECRET)


def free_name(domain: Description, is_taken: Callable[[str], bool]) -> str:
    """Return the domain's name, or one made of it that nobody else has."""
    return f"{domain.name}-{domain.uuid}" if is_taken(domain.name) else domain.name

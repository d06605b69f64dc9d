"""What describes a domain, not read before somebody asks for what it says.

A daemon that takes over a thousand guests can say which there are, and in which state, without reading a thousand
documents first; and a start need not make out what a domain looks like while it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from insula.model.domain import DomainDefinition


@dataclass(kw_only=True, slots=True, eq=False)
class UnreadDefinition:
    """name, uuid: of what `read` returns; several threads may call it at any time. `value` raises what it raises, which
    is nothing where it is about a guest that runs. text: what it reads, if that is a document."""

    name: str
    uuid: UUID
    text: str | None = None
    read: Callable[[], DomainDefinition]
    _value: DomainDefinition | None = field(default=None, init=False)

    def value(self) -> DomainDefinition:
        """Return what describes the domain: the same value each time."""
        if self._value is None:
            self._value = self.read()
        return self._value

    def known(self) -> DomainDefinition | None:
        """Return what describes the domain if it was read already."""
        return self._value

    def then(self, change: Callable[[DomainDefinition], DomainDefinition]) -> "UnreadDefinition":
        """Return what becomes of it by a change that keeps its name and UUID, not read before it is needed either."""
        return UnreadDefinition(name=self.name, uuid=self.uuid, text=self.text, read=lambda: change(self.value()))


Description = DomainDefinition | UnreadDefinition

"""What a run begins with: its domain as XML, made at the definition or by the run before."""

from collections import OrderedDict
from uuid import UUID

from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags

LIVE = XmlFlags.LIVE | XmlFlags.SECURE
_KEPT = 1024


class DomainTexts:
    """The texts of the latest few domains. A text counts for the very value that it was made of."""

    def __init__(self) -> None:
        self._texts: OrderedDict[UUID, tuple[DomainDefinition, str]] = OrderedDict()

    def of(self, domain: DomainDefinition) -> str:
        """Return a domain as it is written at the beginning of a run."""
        kept = self._texts.pop(domain.uuid, None)
        if kept is None or kept[0] is not domain:
            kept = domain, domain.dump(LIVE)
        self._texts[domain.uuid] = kept
        if len(self._texts) > _KEPT:
            self._texts.popitem(last=False)
        return kept[1]

    def forget(self, uuid: UUID) -> None:
        """Keep nothing of a domain that is no more."""
        self._texts.pop(uuid, None)

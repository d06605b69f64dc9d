"""What a reload of the settings leaves as it is, told by name: a rule that only seems to hold is worse than none."""

import logging
from dataclasses import fields
from typing import Final

from insula.daemon.config import Settings

APPLIED: Final = frozenset(
    {"log_level", "max_clients", "max_clients_per_user", "max_client_requests", "max_anonymous_clients", "keepalive"}
)
"""What counts for new clients from the reload on; so do TLS certificates and names, not where clients by TLS are
listened for."""

_logger = logging.getLogger(__name__)


def unapplied(former: Settings, settings: Settings) -> list[str]:
    """Return the names of the settings that are others than at the daemon's start, and count from its next one on."""
    changed = [each.name for each in fields(Settings) if getattr(former, each.name) != getattr(settings, each.name)]
    left = [each for each in changed if each not in APPLIED and each != "tls"]
    places = [(each.tls.listen, each.tls.address, each.tls.port) for each in (former, settings)]
    return [*left, *(["listen_tls"] if places[0] != places[1] else [])]


def tell_unapplied(former: Settings, settings: Settings) -> None:
    """Say in the log which of them do not count yet."""
    if names := unapplied(former, settings):
        _logger.warning("these settings have changed and count once insulad is started again: %s", ", ".join(names))

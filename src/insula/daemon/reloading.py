"""What a reload of the settings leaves as it is, told by name: a rule that only seems to hold is worse than none."""

import logging
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Final

from insula.daemon.config import Settings, SocketAccess
from insula.daemon.remotesettings import REMOTE_KEYS

APPLIED: Final = frozenset(
    {
        "log_level",
        "max_clients",
        "max_clients_per_user",
        "max_client_requests",
        "max_anonymous_clients",
        "keepalive",
        "auth_unix_rw",
        "auth_unix_ro",
        "access_drivers",
    }
)
"""What counts from the reload on: access drivers for everybody, all else for new clients."""
APPLIED_AFAR: Final = frozenset(
    {
        "ca_file",
        "crl_file",
        "cert_file",
        "key_file",
        "tls_allowed_dn_list",
        "tls_min_version",
        "sasl_allowed_username_list",
        "auth_tls",
        "sasl_credentials",
        "sasl_keytab",
    }
)
"""The same of clients from elsewhere, and of those that prove who they are."""

_logger = logging.getLogger(__name__)


def unapplied(former: Settings, settings: Settings) -> list[str]:
    """Return the names of the settings that are others than at the daemon's start, and count from its next one on."""
    changed = [each.name for each in fields(Settings) if getattr(former, each.name) != getattr(settings, each.name)]
    left = [each for each in changed if each not in APPLIED and each not in ("remote", "sockets")]
    if _places(former) != _places(settings):
        left.append("[[socket]]")
    for key, (place, _) in REMOTE_KEYS.items():
        if place and key not in APPLIED_AFAR and attrgetter(place)(former.remote) != attrgetter(place)(settings.remote):
            left.append(key)
    return left


def _places(settings: Settings) -> dict[Path, SocketAccess]:
    """What stays of sockets as long as the daemon runs; mode and group follow the settings."""
    return {each.path: each.access for each in settings.sockets}


def tell_unapplied(former: Settings, settings: Settings) -> None:
    """Say in the log which of them do not count yet."""
    if names := unapplied(former, settings):
        _logger.warning("these settings have changed and count once insulad is started again: %s", ", ".join(names))

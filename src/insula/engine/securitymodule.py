"""The host's security module, and the profiles of ours that it has: found out once a process, and loaded if missing."""

import functools
import logging
import subprocess
from pathlib import Path

from insula.engine.policy.apparmorprofiles import PROFILES, profile_for
from insula.kernel import apparmor

LOGGER = logging.getLogger(__name__)

APPARMOR = "apparmor"
NO_MODEL = "none"
UNCONFINED = "unconfined"
"""What AppArmor calls a process without a profile."""
_PARSERS = ("/usr/sbin/apparmor_parser", "/sbin/apparmor_parser")
_PATIENCE = 30
"""Seconds that the parser may take; usually some hundredths of one."""


@functools.cache
def unready() -> str | None:
    """Return why guests get no profile of ours here, None if they do, and an empty text where there is no AppArmor.

    The profiles are loaded if they are not, by the host's apparmor_parser(8); they stay loaded until the host's next
    boot, since removing a profile takes it off whoever runs under it.
    """
    if not apparmor.takes_profiles():
        return ""
    names = {each.name for each in PROFILES}
    try:
        if names <= apparmor.loaded_profiles():
            return None
    except OSError as error:
        return f"its profiles cannot be read ({error.strerror}): mount securityfs at /sys/kernel/security"
    reason = _load()
    if reason is not None:
        LOGGER.warning("guests are not confined by AppArmor: %s", reason)
    return reason


def _load() -> str | None:
    parser = next(filter(Path.exists, map(Path, _PARSERS)), None)
    if parser is None:
        return "there is no apparmor_parser: install the package apparmor, and restart insulad"
    for each in PROFILES:
        command = [str(parser), "--replace", "--skip-cache"]
        try:
            done = subprocess.run(
                command, input=each.text, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{parser} did not load '{each.name}': {error}"
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["it says nothing"]
            return f"{parser} did not load '{each.name}': {said[-1]}"
    return None


def security_model() -> str:
    """Return the model of security labels that guests of this host have, as libvirt names it."""
    return APPARMOR if unready() is None else NO_MODEL


def own_profile(*, privileged: bool) -> str | None:
    """Return the name of the profile for guests of a kind, None where they get none."""
    return profile_for(privileged=privileged).name if unready() is None else None

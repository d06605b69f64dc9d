"""The helpers that the host has: pasta, of passt, and slirp4netns."""

import os
import shutil
from dataclasses import dataclass

from insula.engine.interfacespec import UserHelper
from insula.errors import OperationUnsupportedError

_PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_PACKAGES = {UserHelper.PASTA: "passt", UserHelper.SLIRP4NETNS: "slirp4netns"}


@dataclass(frozen=True, kw_only=True, slots=True)
class HelperProgram:
    """A helper that the host has. path: of the program."""

    helper: UserHelper
    path: str


def installed_helper(wanted: UserHelper | None, *, privileged: bool) -> HelperProgram:
    """Return the helper that is wanted, or the better one that the host has.

    privileged: the guest has no user namespace: pasta would keep a capability of the host's there for as long as it
    runs, which slirp4netns has at its start only.
    Raises: OperationUnsupportedError that says what to install, or to choose.
    """
    if privileged and wanted is UserHelper.PASTA:
        raise OperationUnsupportedError(
            "passt would keep capabilities of the host's in a privileged guest's network: remove <backend "
            "type='passt'/>, and slirp4netns serves it"
        )
    choices = [wanted] if wanted is not None else [UserHelper.PASTA, UserHelper.SLIRP4NETNS]
    if privileged:
        choices = [UserHelper.SLIRP4NETNS]
    for each in choices:
        path = shutil.which(each.value, path=f"{os.environ.get('PATH', '')}:{_PLACES}")
        if path is not None:
            return HelperProgram(helper=each, path=path)
    packages = " or ".join(_PACKAGES[each] for each in choices)
    programs = " nor ".join(each.value for each in choices)
    raise OperationUnsupportedError(
        f"there is no {programs} on this host, which carries the traffic of a card of type 'user': install {packages}"
    )

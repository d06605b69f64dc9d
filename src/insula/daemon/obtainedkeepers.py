"""The keepers of an installation: the living one or a new one, and those of earlier versions that are there."""

import os
import socket
from contextlib import suppress

from insula.daemon.logs import keeper_log
from insula.engine.keeper.dialects import FORMER_VERSIONS
from insula.engine.keeper.protocol import VERSION
from insula.engine.keeper.startup import connect, reach_keeper, spawn_keeper
from insula.engine.launch.ownscopes import OwnProcess, OwnScope, placing
from insula.engine.launch.systemdscope import Manager
from insula.errors import KeeperError
from insula.layout import Layout


def obtain_keeper_of(layout: Layout, manager: Manager, soft_limit: int) -> socket.socket:
    """Return a channel to the living keeper of an installation, or to a new one; it may take the time of a start.

    manager: whose the host's control groups are; soft_limit: of descriptors, for guests. Raises: KeeperError, which
    tells where the log is.
    """
    path = layout.keeper_socket(VERSION)
    placed = placing(manager, OwnScope(OwnProcess.KEEPER, str(layout.root)))
    with suppress(KeeperError):
        return reach_keeper(path, placed)
    place = layout.logs / "keeper.log"
    log = keeper_log(place)
    try:
        spawn_keeper(path, log=log, soft_limit=soft_limit, placed=placed)
    except KeeperError as error:
        raise KeeperError(f"{error} ({place})") from error
    finally:
        if log is not None:
            os.close(log)
    return connect(path)


def older_keepers_of(layout: Layout) -> dict[int, socket.socket]:
    """Return channels to the keepers of earlier versions that are there, by their version."""
    found = {}
    for former in FORMER_VERSIONS:
        with suppress(KeeperError):
            found[former] = connect(layout.keeper_socket(former))
    return found

"""Connecting to a daemon: `insula.connect`, and `insula.connect_async` for programs with an event loop."""

import os
from typing import TYPE_CHECKING

from insula.errors import OperationUnsupportedError

if TYPE_CHECKING:  # a command line pays for one of the two
    from insula.layout import Layout
    from insula.sdk.async_domains import AsyncHost
    from insula.sdk.blocking_domains import Host

SYSTEM = "lxc:///system"


def connect(where: "str | os.PathLike[str] | Layout | None" = None, *, read_only: bool = False) -> "Host":
    """Connect to a daemon, which makes and keeps domains; one that is just starting is waited for.

        with insula.connect() as host:
            for domain in host.domains():
                print(domain.name, domain.state())

    where: the path of a socket, the layout of an installation, or `lxc:///system`; None for the installation that
    `INSULA_PREFIX` names, else the system's. read_only: what only looks, which ordinary users may do too.
    Raises: NobodyListensError; AuthenticationError or AccessDeniedError if we are refused; OperationUnsupportedError
    for an address of another kind.
    """
    from insula.sdk.blocking import connect as connected
    from insula.sdk.blocking_domains import Host

    return Host(connected(_door(where), read_only=read_only))


async def connect_async(
    where: "str | os.PathLike[str] | Layout | None" = None, *, read_only: bool = False
) -> "AsyncHost":
    """Connect to a daemon from a program with an event loop; see `connect`.

    async with await insula.connect_async() as host:
        web = await host.domain("web")
        await web.start()
    """
    from insula.sdk.async_domains import AsyncHost
    from insula.sdk.client import connect as connected

    return AsyncHost(await connected(_door(where), read_only=read_only))


def _door(where: "str | os.PathLike[str] | Layout | None") -> "str | os.PathLike[str] | Layout | None":
    if not isinstance(where, str) or "://" not in where:
        return where
    if where.rstrip("/") in (SYSTEM, "lxc:"):
        from insula.layout import Layout

        return Layout.system()
    raise OperationUnsupportedError(f"'{where}' cannot be connected to: only {SYSTEM}, or a socket's path, can")

"""Connecting to a daemon: `insula.connect`, and `insula.connect_async` for programs with an event loop."""

import os
from typing import TYPE_CHECKING

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

    where: the path of a socket, the layout of an installation, or an address as libvirt has them, `lxc:///system`,
    `lxc+ssh://root@web1/system`, `lxc+tls://web1/system`, `lxc+tcp://web1/system`; None for the installation that
    `INSULA_PREFIX` names, else for what `INSULA_DEFAULT_URI` says, else the system's. read_only: what only looks, which
    ordinary users may do too.
    Raises: NobodyListensError; AuthenticationError or AccessDeniedError if we are refused; InvalidArgumentError and
    OperationUnsupportedError for an address that leads nowhere, or where we cannot go.
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
    if where is None:
        from insula.layout import default_address

        where = default_address()
    if not isinstance(where, str) or "://" not in where:
        return where
    if where.rstrip("/") in (SYSTEM, "lxc:"):
        from insula.layout import Layout

        return Layout.system()
    from insula.sdk.daemonaddress import parse_address

    parse_address(where)
    return where

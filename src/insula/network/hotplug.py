"""The host's network and that of a guest that runs, opened for one change of the guest's interfaces."""

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Interface
from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.network.guestinterfaces import socket_in
from insula.network.kinds.interfacedriver import HOST_SWITCH, NO_GUARD, Networks
from insula.network.kinds.kindtable import KINDS
from insula.network.links import of_namespace
from insula.network.openvswitch import OpenVSwitch
from insula.network.portguard import PortGuard
from insula.network.rtnetlink import Rtnetlink


@contextmanager
def talk_in(network: int) -> Iterator[Rtnetlink]:
    """Talk with the kernel about a network. network: an open file of its namespace."""
    descriptor = socket_in(network)
    try:
        with Rtnetlink(descriptor) as inside:
            yield inside
    finally:
        os.close(descriptor)


@contextmanager
def networks_of(
    here: int,
    network: int,
    *,
    leaving: Collection[int] = (),
    guard: PortGuard = NO_GUARD,
    switch: OpenVSwitch = HOST_SWITCH,
) -> Iterator[Networks]:
    """Talk with both; sockets of their own, so that it may be done in any thread.

    here, network: open files of the host's and the guest's namespace; the others: as in `Networks`. What was made and
    not popped off `undo` is taken back.
    """
    guest = of_namespace(network)
    with talk_in(here) as host, talk_in(network) as inside, ExitStack() as undo:
        yield Networks(
            host=host,
            inside=inside,
            guest=guest,
            here=here,
            path=f"/proc/self/fd/{network}",
            undo=undo,
            leaving=leaving,
            guard=guard,
            switch=switch,
        )


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Raise what the kernel refuses as an error that says so. what: as in "cannot ..."."""
    try:
        yield
    except OSError as error:
        kind = OperationUnsupportedError if error.errno == errno.EOPNOTSUPP else OperationFailedError
        raise kind(f"cannot {what}: {error.strerror or error}") from error


def made_interface(wanted: Interface, networks: Networks) -> ConnectedInterface:
    """Return what was made of an interface's spec. Raises: OperationFailedError naming it."""
    with telling(f"connect interface '{wanted.guest}'"):
        return KINDS[type(wanted)].make(wanted, networks)

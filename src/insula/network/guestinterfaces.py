"""A look at a running guest's interfaces, from inside its network namespace and without its help."""

import os
import socket
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from threading import Thread
from typing import TypeVar

from insula.engine.interfacespec import Address
from insula.kernel.process import CloneFlag, setns
from insula.network.links import all_addresses, all_links
from insula.network.rtnetlink import Rtnetlink

MOST = 2048
"""Interfaces, and addresses, of a guest that are looked at: it could make them without number. Source: what libvirt
tells at most, VIR_DOMAIN_INTERFACE_MAX and VIR_DOMAIN_INTERFACE_IP_ADDR_MAX of remote_protocol.x."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestInterface:
    """An interface as the guest has it. mac: empty where the kind of interface has none."""

    name: str
    mac: str
    up: bool
    loopback: bool
    addresses: tuple[Address, ...]


def guest_interfaces(pid: int) -> tuple[GuestInterface, ...]:
    """Return the interfaces in the network namespace of process pid, lo included, in the kernel's order.

    Raises: ProcessLookupError or FileNotFoundError if the process is gone; OSError, E2BIG for more than `MOST`.
    """
    descriptor = socket_inside(pid)
    addresses: defaultdict[int, list[Address]] = defaultdict(list)
    try:
        with Rtnetlink(descriptor) as kernel:
            links = all_links(kernel, most=MOST)
            for index, address in all_addresses(kernel, most=MOST):
                addresses[index].append(address)
    finally:
        os.close(descriptor)
    return tuple(
        GuestInterface(
            name=each.name,
            mac="" if each.loopback else each.mac,
            up=each.up,
            loopback=each.loopback,
            addresses=tuple(addresses[each.index]),
        )
        for each in links
    )


def with_addresses(interfaces: Sequence[GuestInterface], own: Collection[str]) -> list[GuestInterface]:
    """Return those of the interfaces that have one of these addresses, each with these alone."""
    wanted = set(map(ip_address, own))
    kept = [
        replace(each, addresses=tuple(one for one in each.addresses if ip_address(one.address) in wanted))
        for each in interfaces
    ]
    return [each for each in kept if each.addresses]


def socket_inside(pid: int) -> int:
    """Return a NETLINK_ROUTE socket opened in the network namespace of process pid; the caller closes it.

    Raises: FileNotFoundError if the process is gone; OSError.
    """
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return socket_in(namespace)
    finally:
        os.close(namespace)


def socket_in(namespace: int) -> int:
    """Return a NETLINK_ROUTE socket opened in the network namespace of an open file of its; the caller closes it.

    A thread of its own enters the namespace, and ends there: the calling thread can never be left inside.

    Raises: OSError.
    """

    def enter_and_open() -> int:
        setns(namespace, CloneFlag.NEWNET)
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        return socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE).detach()

    return _in_thread(enter_and_open)


def done_in(namespace: int, task: Callable[[], T]) -> T:
    """Return what a task returns in the network namespace of an open file of its: /proc/sys/net is that one's there.

    Raises: OSError.
    """

    def enter() -> T:
        setns(namespace, CloneFlag.NEWNET)
        return task()

    return _in_thread(enter)


def _in_thread(task: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[OSError] = []

    def run() -> None:
        try:
            results.append(task())
        except OSError as error:
            errors.append(error)

    thread = Thread(target=run, name="inside a guest")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]

"""How a card is told to its helper: command lines, and what follows by slirp4netns's socket. Pure.

Sources: passt(1), slirp4netns(1).
"""

import json
from collections.abc import Iterator

from insula.engine.interfacespec import ForwardedPorts, UserHelper, UserInterface
from insula.errors import OperationUnsupportedError
from insula.network.usermode.usersubnets import user_subnets

NETWORK = "/run/user/0/netns/guest"
"""Where a helper's view has the guest's network namespace: a place that Debian's profile of passt allows."""
OWN = "/tmp"
"""A directory of the helper's own, in memory, likewise."""
READY = f"{OWN}/ready"
"""The pipe that is written to once the guest's traffic is carried."""
READY_DESCRIPTOR = "{ready}"
"""Stands for the number of that pipe, open, where a helper wants it so."""
API = f"{OWN}/api"
LOG = f"{OWN}/log"
LOG_BYTES = 1 << 20
MTU = 65520
"""Of a card that says none: the less packets the better, as none of them ever leaves the host."""
USERS = {UserHelper.PASTA: 65534, UserHelper.SLIRP4NETNS: 0}
"""Whom a helper is in the guest's user namespace: nobody; slirp4netns has to be root to make its sandbox, and gives up
what root may do there."""
_ROUTER_MAC = "52:55:0a:00:02:02"
"""The helper's end, as slirp4netns has it too."""
_SLIRP_MOST_PORTS = 1024
_SLIRP_IPV6 = "fd00::/64"
"""The only subnet that it knows."""
_SLIRP_LONGEST_PREFIX = 25


def words_of(helper: UserHelper, interface: UserInterface, name: str, mac: str) -> tuple[str, ...]:
    """Return a helper's arguments. name, mac: of the card in the guest. Raises: OperationUnsupportedError."""
    return _pasta(interface, name, mac) if helper is UserHelper.PASTA else _slirp4netns(interface, name)


def _pasta(interface: UserInterface, name: str, mac: str) -> tuple[str, ...]:
    ipv4, ipv6 = user_subnets(interface)
    words = ["--foreground", "--netns-only", "--netns", NETWORK, "--no-netns-quit", "--ns-ifname", name]
    words += ["--ns-mac-addr", mac]  # else its first packets of TCP go to all, and are dropped
    words += ["--pid", READY, "--mtu", str(interface.mtu or MTU), "--mac-addr", _ROUTER_MAC]
    # Nothing of the host's loopback is within reach, nor is anything forwarded unasked.
    words += ["--no-map-gw", "--tcp-ns", "none", "--udp-ns", "none"]
    words += ["--address", str(ipv4.guest.ip), "--netmask", str(ipv4.guest.network.prefixlen)]
    words += ["--gateway", ipv4.gateway, "--address", str(ipv6.guest.ip), "--gateway", ipv6.gateway]
    words += ["--dns-forward", ipv4.resolver, "--dns-forward", ipv6.resolver, "--dhcp-dns", "--dhcp-search"]
    if interface.device is not None:
        words += ["--interface", interface.device, "--outbound-if4", interface.device]
        words += ["--outbound-if6", interface.device]
    if interface.log is not None:
        words += ["--log-file", LOG, "--log-size", str(LOG_BYTES)]
    for option, protocol in (("--tcp-ports", "tcp"), ("--udp-ports", "udp")):
        specified = [_pasta_ports(each) for each in interface.forwards if each.protocol == protocol]
        for ports in specified or ["none"]:
            words += [option, ports]
    return tuple(words)


def _pasta_ports(forward: ForwardedPorts) -> str:
    where = forward.address or ""
    if forward.device is not None:
        where += f"%{forward.device}"
    ranges = (f"{each.first}-{each.last}:{each.to}-{each.to + each.last - each.first}" for each in forward.ranges)
    return (f"{where}/" if where else "") + ",".join(ranges)


def _slirp4netns(interface: UserInterface, name: str) -> tuple[str, ...]:
    ipv4, ipv6 = user_subnets(interface)
    prefix = ipv4.guest.network.prefixlen
    if prefix > _SLIRP_LONGEST_PREFIX:
        raise OperationUnsupportedError(
            f"slirp4netns serves subnets with prefixes up to {_SLIRP_LONGEST_PREFIX}, not {ipv4.guest}: install passt"
        )
    if str(ipv6.guest.network) != _SLIRP_IPV6:
        raise OperationUnsupportedError(
            f"slirp4netns serves IPv6 in {_SLIRP_IPV6} only, not {ipv6.guest}: install passt"
        )
    words = ["--enable-sandbox", "--enable-seccomp", "--enable-ipv6", "--disable-host-loopback"]
    words += ["--cidr", str(ipv4.guest.network), "--mtu", str(interface.mtu or MTU), "--netns-type", "path"]
    words += ["--ready-fd", READY_DESCRIPTOR]
    if interface.device is not None:
        words += ["--outbound-addr", interface.device, "--outbound-addr6", interface.device]
    if interface.forwards:
        words += ["--api-socket", API]
    return (*words, NETWORK, name)


def slirp_requests(interface: UserInterface) -> tuple[str, ...]:
    """Return what slirp4netns is asked for by its socket, a JSON text for each port that is forwarded.

    Raises: OperationUnsupportedError for what it cannot do.
    """
    requests = tuple(json.dumps(each) for each in _slirp_requests(interface))
    if len(requests) > _SLIRP_MOST_PORTS:
        raise OperationUnsupportedError(
            f"{len(requests)} ports are forwarded, and slirp4netns is asked for {_SLIRP_MOST_PORTS} at most: "
            "install passt"
        )
    return requests


def _slirp_requests(interface: UserInterface) -> Iterator[dict[str, object]]:
    guest = str(user_subnets(interface)[0].guest.ip)
    for forward in interface.forwards:
        address = forward.address or "0.0.0.0"
        if ":" in address or forward.device is not None:
            raise OperationUnsupportedError(
                "slirp4netns forwards ports of IPv4 addresses only, and of no device: install passt"
            )
        for ports in forward.ranges:
            for number in range(ports.last - ports.first + 1):
                arguments = {
                    "proto": forward.protocol,
                    "host_addr": address,
                    "host_port": ports.first + number,
                    "guest_addr": guest,
                    "guest_port": ports.to + number,
                }
                yield {"execute": "add_hostfwd", "arguments": arguments}

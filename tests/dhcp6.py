"""Just enough of a DHCPv6 client to be given an address. Source: RFC 8415."""

import contextlib
import os
import socket
import struct
from ipaddress import IPv6Address

from tests.testhost import TestHost
from tests.waiting import scaled, until

SOLICIT, ADVERTISE, REQUEST, REPLY = 1, 2, 3, 7
CLIENT_ID, SERVER_ID, IA_NA, IA_ADDRESS, ELAPSED, FQDN = 1, 2, 3, 5, 8, 39
SERVERS = ("ff02::1:2", 547)


def option(code: int, content: bytes) -> bytes:
    return struct.pack("!HH", code, len(content)) + content


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        code, length = struct.unpack_from("!HH", data)
        found[code] = data[4 : 4 + length]
        data = data[4 + length :]
    return found


def address_by_dhcp6(guest: TestHost, mac: str, hostname: str, device: str = "eth0") -> str:
    """Return the address that a guest is given, by its MAC address as DUID. hostname: what it calls itself."""
    until(lambda: "tentative" not in guest.run("ip", "-6", "address", "show", "dev", device).stdout, "its address", 10)
    duid = option(CLIENT_ID, b"\0\3\0\1" + bytes.fromhex(mac.replace(":", "")))
    name = option(FQDN, b"\0" + bytes([len(hostname)]) + hostname.encode() + b"\0")
    common = duid + name + option(ELAPSED, b"\0\0")
    with guest.network():
        client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        index = socket.if_nametoindex(device)
    with client:
        client.bind(("::", 546, 0, index))
        client.settimeout(scaled(2))
        offered = _asked(client, index, SOLICIT, common + option(IA_NA, struct.pack("!III", 7, 0, 0)), ADVERTISE)
        wanted = common + option(SERVER_ID, offered[SERVER_ID]) + option(IA_NA, offered[IA_NA])
        given = _asked(client, index, REQUEST, wanted, REPLY)
    return str(IPv6Address(options(given[IA_NA][12:])[IA_ADDRESS][:16]))


def _asked(client: socket.socket, index: int, kind: int, content: bytes, expected: int) -> dict[int, bytes]:
    """Send a message until it is answered as expected, and return the answer's options."""
    transaction = os.urandom(3)
    for _ in range(5):
        client.sendto(bytes([kind]) + transaction + content, (*SERVERS, 0, index))
        with contextlib.suppress(TimeoutError):
            answer = client.recv(2000)
            if answer[0] == expected and answer[1:4] == transaction:
                return options(answer[4:])
    raise AssertionError("no DHCPv6 server answers")

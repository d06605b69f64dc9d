"""Clients that try what they like: the event loop goes on serving the others, and memory stays what it was."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from insula.daemon.rounds import SLICE
from insula.errors import InsulaError
from insula.rpc.procedures import PROGRAMS, Insula, Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from tests.e2e.guests import domain_xml
from tests.insulad import Insulad
from tests.loopload import forget_peak_memory, loop_seconds, peak_memory
from tests.rawclient import RawClient, packet_head, raw_client
from tests.waiting import scaled, until

pytestmark = pytest.mark.requires("virsh")

STALL = 0.05
"""Seconds of processor time that the loop may need, on a usual host, before it looks at the next client."""
MIB = 1024 * 1024
MEMORY = 64 * MIB
"""Bytes that the daemon may grow by, whatever a client asks."""
NOBODY = 65534
LEFT_OUT = {"CONNECT_OPEN", "CONNECT_CLOSE"}

LIMITS = {
    "i": (-(2**31), 2**31 - 1),
    "u": (0, 2**32 - 1),
    "q": (-(2**63), 2**63 - 1),
    "Q": (0, 2**64 - 1),
    "c": (0, 255),
}
NUMBER = re.compile(r"[iuqQ](\([\d,-]+\))?|[cu]4")
HARMLESS: dict[str, Any] = {"s": "x", "d": 0.0, "uuid": bytes(16), "opaque": b"", "c4": b""}


class Ping:
    """A second connection, by which one sees whether the loop goes on."""

    def __init__(self, insulad: Insulad, client: RawClient) -> None:
        self._insulad = insulad
        self._client = client

    def cost(self, hostile: RawClient, procedure: Procedure, *arguments: Any) -> float:
        """Send a call, and return what the loop spent until it answered somebody else: seconds of processor time."""
        before = loop_seconds(self._insulad.pid)
        hostile.begin(procedure, *arguments)
        self._client.call(Remote.CONNECT_GET_LIB_VERSION)
        spent = loop_seconds(self._insulad.pid) - before
        hostile.drain()
        return spent


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> DomainRef:
    """A running domain with as many processors as there can be."""
    xml = domain_xml("guest", busybox_root).replace("<os>", "<vcpu>4096</vcpu><os>")
    insulad.define(xml)
    insulad.virsh("start", "guest")
    uuid = UUID(insulad.virsh("domuuid", "guest").stdout.strip())
    return DomainRef("guest", uuid.bytes, int(insulad.virsh("domid", "guest").stdout))


@pytest.fixture
def idle(insulad: Insulad) -> DomainRef:
    """A domain that may be changed at will, and cannot start."""
    insulad.define(domain_xml("idle", Path("/nowhere")))
    return DomainRef("idle", UUID(insulad.virsh("domuuid", "idle").stdout.strip()).bytes)


def fields_of(row: Procedure) -> list[tuple[str, str]]:
    """The row's arguments: name and type."""
    text = re.sub(r"\{[^}]*\}", "{}", row.arguments_notation)
    return [(name, kind) for name, _, kind in (each.partition(":") for each in text.split()) if "*" not in name]


def extremes(kind: str) -> list[int]:
    lowest, highest = LIMITS[kind[0]]
    found = re.search(r"(\d+)\)", kind)
    most = [int(found[1]), int(found[1]) + 1] if found else []
    return [each for each in (lowest, -1, 0, 1, *most, 2**31 - 1, highest) if lowest <= each <= highest]


def calls_of(row: Procedure, domain: DomainRef) -> Iterator[tuple[Any, ...]]:
    """Arguments with every number at each of its extremes, alone and together with the others."""
    fields = fields_of(row)
    numbers = [index for index, (_, kind) in enumerate(fields) if NUMBER.fullmatch(kind)]
    plain = [_plain(kind, domain) for _, kind in fields]
    yield tuple(plain)
    for index in numbers:
        for value in extremes(fields[index][1]):
            yield (*plain[:index], value, *plain[index + 1 :])
    for step in range(8):
        values = list(plain)
        for index in numbers:
            choices = extremes(fields[index][1])
            values[index] = choices[min(step, len(choices) - 1)]
        yield tuple(values)


def _plain(kind: str, domain: DomainRef) -> Any:
    if kind.endswith("?"):
        return None
    if kind.endswith(">") and not kind.startswith(("opaque", "c4")):
        return ()
    if NUMBER.fullmatch(kind):
        return 0
    if kind in ("snap", "ckpt"):
        return ("x", domain)
    references: dict[str, Any] = {
        "dom": domain,
        "net": ("x", bytes(16)),
        "pool": ("x", bytes(16)),
        "nwf": ("x", bytes(16)),
    }
    references |= {"vol": ("x", "x", "x"), "ndev": ("x",), "iface": ("x", "x"), "secret": (bytes(16), 0, "x")}
    references |= {"nport": (("x", bytes(16)), bytes(16)), "nwfb": ("x", "x")}
    return references[kind] if kind in references else HARMLESS[re.split(r"[<\[]", kind)[0]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("read_only", [True, False])
def test_no_number_in_any_call_holds_the_others_up_or_takes_memory(
    insulad: Insulad, guest: DomainRef, idle: DomainRef, read_only: bool
) -> None:
    path = insulad.layout.socket_read_only if read_only else insulad.socket
    slow: dict[str, float] = {}
    with raw_client(insulad.socket) as other, raw_client(path) as hostile:
        ping = Ping(insulad, other)
        other.call(Remote.CONNECT_GET_LIB_VERSION)
        forget_peak_memory(insulad.pid)
        before = peak_memory(insulad.pid)
        number = 0
        for row in (row for table in PROGRAMS.values() for row in table.rows.values() if not row.is_event):
            if row.name in LEFT_OUT:
                continue
            domain = guest if row.only_looks((0,) * 16) else idle
            for arguments in calls_of(row, domain):
                number += 1
                cost = ping.cost(hostile, row, *arguments)
                if cost > scaled(STALL):
                    slow[f"{row.name}{arguments}"] = cost
        with suppress(InsulaError):
            hostile.call(Remote.DOMAIN_GET_STATE, guest, 0)  # the connection goes on too
        grown = peak_memory(insulad.pid) - before
    assert number > 1000
    assert not slow
    assert grown < MEMORY


# Memory


def test_strangers_cannot_make_the_daemon_hold_large_packets(insulad: Insulad) -> None:
    """Sixty connections that never open, each with a packet of 32 MiB begun, used to cost 2 GB for good."""
    forget_peak_memory(insulad.pid)
    before, begun = peak_memory(insulad.pid), time.monotonic()
    with ExitStack() as stack:
        clients = [
            stack.enter_context(raw_client(insulad.layout.socket_read_only, opened=opened))
            for opened in (False, True)
            for _ in range(20)
        ]
        for client in clients:
            with suppress(ConnectionError):
                client.send(packet_head(32 * MIB) + bytes(4 * MIB))
        until(lambda: all(client.is_hung_up() for client in clients), "all being hung up on", 20)
        assert peak_memory(insulad.pid) - before < MEMORY
        until(lambda: "broke the protocol" in insulad.log_text(), "the log")
        lines = [line for line in insulad.log_text().splitlines() if "broke the protocol" in line]
        assert len(lines) <= 1 + (time.monotonic() - begun) // 60, "one line a minute, not one a client"
    insulad.virsh("list")


def test_a_writer_may_send_what_the_protocol_allows(insulad: Insulad) -> None:
    with raw_client(insulad.socket) as client, pytest.raises(InsulaError, match="has 4194304 bytes"):
        client.call(Remote.DOMAIN_DEFINE_XML, " " * (4 * MIB - 1) + "x")


def test_a_reader_may_ask_for_the_statistics_of_a_thousand_domains(insulad: Insulad, idle: DomainRef) -> None:
    absent = [DomainRef("x" * 64, number.to_bytes(16)) for number in range(1000)]
    with raw_client(insulad.layout.socket_read_only) as client:
        (found,) = client.call(Remote.CONNECT_GET_ALL_DOMAIN_STATS, (*absent, idle), 0, 0)
    assert [each.dom.name for each in found] == ["idle"]


def test_a_list_of_thousands_of_domains_that_are_not_there_holds_nobody_up(insulad: Insulad, idle: DomainRef) -> None:
    absent = tuple(DomainRef("", number.to_bytes(16)) for number in range(9000))
    with raw_client(insulad.socket) as other, raw_client(insulad.layout.socket_read_only) as hostile:
        ping = Ping(insulad, other)
        ping.cost(hostile, Remote.CONNECT_GET_LIB_VERSION)
        assert ping.cost(hostile, Remote.CONNECT_GET_ALL_DOMAIN_STATS, absent, 0, 0) < scaled(STALL)


def test_a_client_that_takes_no_answers_gets_no_more_of_them(insulad: Insulad, guest: DomainRef) -> None:
    """One read holds hundreds of calls, and each of these has an answer of 8 MiB."""
    row = Remote.DOMAIN_GET_VCPUS
    call = row.arguments.pack((guest, 1, 8 * MIB))
    packets = b"".join(packet_head(28 + len(call), row.number, serial) + call for serial in range(100, 300))
    forget_peak_memory(insulad.pid)
    before = peak_memory(insulad.pid)
    with raw_client(insulad.layout.socket_read_only) as greedy, raw_client(insulad.socket) as other:
        greedy.send(packets)
        for _ in range(50):
            other.call(Remote.CONNECT_GET_LIB_VERSION)
        assert peak_memory(insulad.pid) - before < MEMORY
        for serial in range(100, 300):  # and all of them, once it reads
            assert greedy.skip_answer() == serial


def test_calls_that_only_wait_are_not_for_free(insulad: Insulad, guest: DomainRef) -> None:
    """Each waits for the end of a domain, under a long name that a reference may have beside the UUID."""
    long = guest._replace(name="x" * (200 * 1024))
    forget_peak_memory(insulad.pid)
    before = peak_memory(insulad.pid)
    with ExitStack() as stack:
        clients = [stack.enter_context(raw_client(insulad.layout.socket_read_only, uid=NOBODY)) for _ in range(10)]
        for client in clients:
            with suppress(ConnectionError):
                for _ in range(60):
                    client.begin(Insula.DOMAIN_WAIT, long, 0)
        until(lambda: any(client.is_hung_up() for client in clients), "the greedy being hung up on", 20)
        assert peak_memory(insulad.pid) - before < 2 * MEMORY


def test_a_user_with_many_clients_keeps_others_waiting_hardly_longer_than_with_one(
    insulad: Insulad, guest: DomainRef
) -> None:
    """Sixty clients of nobody's, each with calls enough for a while: every answer to root took sixty times as long."""
    one, sixty = (_wait_beside(insulad, guest, crowd) for crowd in (1, 60))
    assert sixty < 6 * max(one, SLICE)


def _wait_beside(insulad: Insulad, guest: DomainRef, crowd: int) -> float:
    """Return what the loop spends, seconds of processor time, before it answers root, while a crowd calls."""
    row = Insula.DOMAIN_INFO
    call = row.arguments.pack((guest, 0))
    packets = b"".join(
        packet_head(28 + len(call), row.number, serial, row.program) + call for serial in range(100, 2100)
    )
    spent = []
    with ExitStack() as stack:
        path = insulad.layout.socket_read_only
        clients = [stack.enter_context(raw_client(path, uid=NOBODY)) for _ in range(crowd)]
        other = stack.enter_context(raw_client(insulad.socket))
        for client in clients:
            client.socket.setblocking(False)
            with suppress(BlockingIOError):
                client.socket.send(packets)
        for _ in range(7):
            before = loop_seconds(insulad.pid)
            other.call(Remote.CONNECT_GET_LIB_VERSION)
            spent.append(loop_seconds(insulad.pid) - before)
    return sorted(spent)[len(spent) // 2]


def test_nobody_registers_a_thousand_times_for_one_event(insulad: Insulad, guest: DomainRef) -> None:
    with raw_client(insulad.layout.socket_read_only, uid=NOBODY) as greedy:
        taken = 0
        for _ in range(1000):
            with suppress(InsulaError):
                greedy.call(Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, 0, None)
                taken += 1
    assert taken == 8


# Documents

HEAD = "<domain type='lxc'><name>{name}</name><memory unit='MiB'>64</memory><os><type>exe</type>"
TAIL = "</devices></domain>"


def document(name: str, *, system: str = "", metadata: str = "", devices: str = "") -> str:
    head = HEAD.format(name=name) + system
    return f"{head}</os><metadata><x xmlns='urn:x'>{metadata}</x></metadata><devices>{devices}{TAIL}"


DOCUMENTS = {
    "attributes": document("a", metadata="<a " + " ".join(f"b{each}='1'" for each in range(32_000)) + "/>"),
    "many attributes": document("b", metadata=("<a " + " ".join(f"b{each}='1'" for each in range(250)) + "/>") * 64),
    "namespaces": document("c", metadata="<a " + " ".join(f"xmlns:b{each}='c'" for each in range(5_000)) + "/>"),
    "declared": document(
        "d",
        metadata="<a "
        + " ".join(f"xmlns:b{each}='c{each}'" for each in range(60))
        + ">"
        + ("<b1:a>" * 50 + "</b1:a>" * 50) * 150
        + "</a>",
    ),
    "levels": document("e", metadata="<a>" * 50_000),
    "elements": document("f", metadata="<a/>" * 8_100),
    "too many elements": document("g", metadata="<a/>" * 200_000),
    "comments": document("h", metadata="<!--a-->" * 16_000),
    "text": document("i", metadata="&lt;" * 200_000),
    "variables": document("j", system="".join(f"<initenv name='A{each}'>x</initenv>" for each in range(8_000))),
    "filesystems": document(
        "k",
        devices="".join(
            f"<filesystem><source dir='/a'/><target dir='/a{each}'/><readonly/></filesystem>" for each in range(1_000)
        ),
    ),
    "interfaces": document(
        "l",
        devices=("<interface type='ethernet'>" + "<ip address='10.0.0.1'/>" * 6 + "</interface>") * 1_000,
    ),
    "an entity": "<!DOCTYPE a [<!ENTITY b 'bbbbbbbbbb'>]>" + document("m", metadata="&b;" * 100_000),
    "processors": document("n").replace("<os>", "<vcpu cpuset='" + "0-16000,^1," * 50_000 + "2'>1</vcpu><os>"),
    "blanks": " " * 4_000_000 + document("o"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_no_document_holds_the_others_up(insulad: Insulad, idle: DomainRef, kind: str) -> None:
    xml = DOCUMENTS[kind]
    slow: dict[str, float] = {}
    with raw_client(insulad.socket) as other, raw_client(insulad.socket) as hostile:
        ping = Ping(insulad, other)

        def sent(row: Procedure, *arguments: Any) -> None:
            """Send a call, and ping until it is answered."""
            before = loop_seconds(insulad.pid)
            serial = hostile.begin(row, *arguments)
            rounds = 0
            while not hostile.has_answer(serial):
                other.call(Remote.CONNECT_GET_LIB_VERSION)
                now = loop_seconds(insulad.pid)
                if now - before > scaled(STALL):
                    slow[row.name] = max(slow.get(row.name, 0), now - before)
                before = now
                rounds += 1
            with suppress(InsulaError):
                hostile.answer(serial)

        ping.cost(hostile, Remote.CONNECT_GET_LIB_VERSION)
        sent(Remote.DOMAIN_CREATE_XML, xml, 0)
        sent(Remote.DOMAIN_DEFINE_XML, xml)
        sent(Insula.PLAN_XML, xml, 0)
        sent(Remote.DOMAIN_ATTACH_DEVICE_FLAGS, idle, xml, 2)
        sent(Remote.DOMAIN_SET_METADATA, idle, 2, xml, "x", "urn:y", 2)
        sent(Remote.DOMAIN_SET_METADATA, idle, 0, xml, None, None, 2)
        (defined, _) = other.call(Remote.CONNECT_LIST_ALL_DOMAINS, 1, 0)
        for domain in defined:
            sent(Remote.DOMAIN_GET_XML_DESC, domain, 1)
            sent(Remote.DOMAIN_GET_METADATA, domain, 2, "urn:x", 0)
            sent(Insula.DOMAIN_INFO, domain, 0)
            sent(Insula.DOMAIN_PLAN, domain, 0)
            sent(Remote.DOMAIN_SET_MEMORY_FLAGS, domain, 65536, 2)
            sent(Remote.DOMAIN_CREATE, domain)
        sent(Remote.CONNECT_GET_ALL_DOMAIN_STATS, (), 0, 0)
    assert not slow
    insulad.restart()
    with raw_client(insulad.socket) as again:
        (found, _) = again.call(Remote.CONNECT_LIST_ALL_DOMAINS, 1, 0)
    assert {each.name for each in found} == {each.name for each in defined}, "what was defined is read again"

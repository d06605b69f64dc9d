"""The distribution's libvirt-python against a running daemon: events, keepalive, streams, errors, many at once.

Each client is a process of the distribution's own interpreter: libvirt's event loop cannot be taken down again.
"""

import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from insula.model.builtinfilters import NAMES
from tests.e2e.guests import domain_xml, state
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped", "libvirt-python"), pytest.mark.client("libvirt-python")]

PRELUDE = """
import json, os, sys, threading, time, uuid
import libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
libvirt.virEventRegisterDefaultImpl()
def loop():
    while True:
        libvirt.virEventRunDefaultImpl()
threading.Thread(target=loop, daemon=True).start()
uri = sys.argv[1]
def until(condition, seconds=20):
    deadline = time.monotonic() + seconds * float(os.environ.get("INSULA_TEST_TIME_SCALE") or 1)
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("it did not happen: " + repr(condition))
        time.sleep(0.01)
def tell(value):
    print(json.dumps(value), flush=True)
"""


def client(insulad: Insulad, script: str, *arguments: str, read_only: bool = False) -> subprocess.Popen[str]:
    """Start a client; its first argument is the URI, what it tells is JSON, a line each."""
    uri = insulad.uri_read_only if read_only else insulad.uri
    return subprocess.Popen(
        ["/usr/bin/python3", "-c", PRELUDE + textwrap.dedent(script), uri, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(insulad: Insulad, script: str, *arguments: str, read_only: bool = False) -> Any:
    """Run a client to its end and return the last thing it told."""
    process = client(insulad, script, *arguments, read_only=read_only)
    stdout, stderr = process.communicate(timeout=patience(60))
    assert process.returncode == 0, f"{stderr}\n{stdout}\ninsulad's log:\n{insulad.log_text()}"
    return json.loads(stdout.splitlines()[-1])


@pytest.fixture
def web(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("web", busybox_root))
    return "web"


def test_a_connection_knows_what_it_talks_to(insulad: Insulad) -> None:
    facts = told(
        insulad,
        """
        conn = libvirt.open(uri)
        tell([conn.getType(), conn.getLibVersion(), conn.isAlive(), conn.isSecure(), conn.getMaxVcpus(None) > 0,
              conn.getInfo()[0], conn.getCPUMap()[0], conn.listAllNetworks(), conn.listAllStoragePools(),
              conn.numOfDomains(), conn.getURI() == uri])
        """,
    )
    assert facts[:5] == ["LXC", 11003000, 1, 1, True]
    assert facts[5] == os.uname().machine and facts[6] == os.cpu_count()
    assert facts[7:] == [[], [], 0, True]


@pytest.mark.machine("clients")
def test_lifecycle_events_come_in_the_order_of_what_happened(insulad: Insulad, web: str) -> None:
    events = told(
        insulad,
        """
        conn = libvirt.open(uri)
        seen = []
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                    lambda c, dom, event, detail, _: seen.append((dom.name(), event, detail)), None)
        domain = conn.lookupByName("web")
        domain.create()
        first = domain.ID()
        domain.suspend()
        domain.resume()
        domain.destroy()
        domain.create()
        assert domain.ID() not in (-1, first)
        domain.destroy()
        domain.undefine()
        until(lambda: len(seen) >= 7)
        tell(seen)
        """,
    )
    assert events == [
        ["web", 2, 0],  # started: booted
        ["web", 3, 0],  # suspended: paused
        ["web", 4, 0],  # resumed: unpaused
        ["web", 5, 1],  # stopped: destroyed
        ["web", 2, 0],
        ["web", 5, 1],
        ["web", 1, 0],  # undefined: removed
    ]


def test_a_guest_that_powers_off_by_itself_is_told_to_those_who_listen(insulad: Insulad, busybox_root: Path) -> None:
    (busybox_root / "sbin" / "brief").write_text("#!/bin/sh\nexec poweroff -f\n")
    (busybox_root / "sbin" / "brief").chmod(0o755)
    insulad.define(domain_xml("brief", busybox_root, init="/sbin/brief"))
    events = told(
        insulad,
        """
        conn = libvirt.open(uri)
        seen = []
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                    lambda c, dom, event, detail, _: seen.append((event, detail)), None)
        conn.lookupByName("brief").create()
        until(lambda: any(event == 5 for event, _ in seen))
        tell(seen)
        """,
    )
    assert events[0] == [2, 0] and events[-1] == [5, 0]


def test_events_of_one_domain_and_events_no_more(insulad: Insulad, web: str, busybox_root: Path) -> None:
    insulad.define(domain_xml("other", busybox_root))
    events = told(
        insulad,
        """
        conn = libvirt.open(uri)
        web, other = conn.lookupByName("web"), conn.lookupByName("other")
        only, every = [], []
        listen = lambda into: (lambda c, dom, *rest: into.append(dom.name()))
        conn.domainEventRegisterAny(web, 0, listen(only), None)
        number = conn.domainEventRegisterAny(None, 0, listen(every), None)
        web.setMetadata(0, "text", None, None, 2)
        for domain in (web, other):
            domain.create()
            domain.destroy()
        until(lambda: len(every) >= 4)
        conn.domainEventDeregisterAny(number)
        web.create()
        web.destroy()
        until(lambda: len(only) >= 4)
        tell([only, every])
        """,
    )
    assert events == [["web"] * 4, ["web", "web", "other", "other"]]


def test_keepalive_is_answered_and_kept_up(insulad: Insulad) -> None:
    alive = told(
        insulad,
        """
        conn = libvirt.open(uri)
        interval = round(float(os.environ.get("INSULA_TEST_TIME_SCALE") or 1))
        conn.setKeepAlive(interval, 2)
        time.sleep(4 * interval)
        tell([conn.isAlive(), conn.getType()])
        """,
    )
    assert alive == [1, "LXC"]


def test_a_client_hears_of_the_daemons_end(insulad: Insulad) -> None:
    process = client(
        insulad,
        """
        conn = libvirt.open(uri)
        reasons = []
        conn.registerCloseCallback(lambda c, reason, _: reasons.append(reason), None)
        tell("ready")
        until(lambda: reasons)
        tell([reasons, conn.isAlive()])
        """,
    )
    assert process.stdout is not None and json.loads(process.stdout.readline()) == "ready"
    insulad.kill()
    stdout, stderr = process.communicate(timeout=patience(60))
    assert process.returncode == 0, stderr
    (reason,), alive = json.loads(stdout.splitlines()[-1])
    assert reason in (0, 1) and alive == 0
    insulad.start()


def test_errors_have_the_numbers_programs_branch_on(insulad: Insulad, web: str) -> None:
    codes = told(
        insulad,
        """
        conn = libvirt.open(uri)
        domain = conn.lookupByName("web")
        def code(call, *arguments):
            try:
                call(*arguments)
            except libvirt.libvirtError as error:
                return error.get_error_code()
            return 0
        tell({
            "no domain": code(conn.lookupByName, "nope"),
            "off": code(domain.destroy),
            "no metadata": code(domain.metadata, 2, "urn:none", 0),
            "bad xml": code(conn.defineXML, "<domain"),
            "name taken": code(conn.defineXML, domain.XMLDesc().replace(domain.UUIDString(), str(uuid.uuid4()))),
            "no support": code(domain.managedSave, 0),
            "flags": code(domain.createWithFlags, 1 << 30),
            "no network": code(conn.networkLookupByName, "default"),
            "no pool": code(conn.storagePoolLookupByName, "default"),
            "no device": code(conn.nodeDeviceLookupByName, "none"),
            "no snapshot": code(domain.snapshotLookupByName, "s"),
            "console of a domain that is off": code(domain.openConsole, None, conn.newStream(0), 0),
        })
        """,
    )
    assert codes == {
        "no domain": 42,
        "off": 55,
        "no metadata": 80,
        "bad xml": 35,
        "name taken": 9,
        "no support": 3,
        "flags": 8,
        "no network": 43,
        "no pool": 49,
        "no device": 53,
        "no snapshot": 72,
        "console of a domain that is off": 55,
    }


def test_what_graphical_clients_ask_for_when_they_connect_and_idle_is_answered(insulad: Insulad, web: str) -> None:
    """The calls that virt-manager was seen to make; any that fails would be an error on its screen or in its log."""
    answers = told(
        insulad,
        """
        conn = libvirt.open(uri)
        conn.setKeepAlive(20, 1)
        conn.registerCloseCallback(lambda *_: None, None)
        nothing = lambda *_: None
        events = [conn.domainEventRegisterAny(None, each, nothing, None) for each in range(28) if each != 27]
        events.append(conn.networkEventRegisterAny(None, 0, nothing, None))
        pools = [conn.storagePoolEventRegisterAny(None, each, nothing, None) for each in (0, 1)]
        devices = [conn.nodeDeviceEventRegisterAny(None, each, nothing, None) for each in (0, 1)]
        secrets = [conn.secretEventRegisterAny(None, each, nothing, None) for each in (0, 1)]
        domain = conn.listAllDomains()[0]
        domain.create()
        lists = [conn.listAllStoragePools(), conn.listNetworks(), conn.listDefinedNetworks(), conn.listDevices(None),
                 conn.listAllNetworks(), conn.listAllDevices(), conn.listAllInterfaces(), conn.listAllSecrets(),
                 domain.listAllSnapshots(), domain.listAllCheckpoints()]
        filters = [sorted(each.name() for each in conn.listAllNWFilters()), sorted(conn.listNWFilters())]
        texts = [conn.getCapabilities(), conn.getDomainCapabilities(None, None, None, "lxc"), conn.getSysinfo(),
                 domain.XMLDesc(0), domain.XMLDesc(2)]
        numbers = [conn.getVersion(), conn.getLibVersion(), conn.getInfo()[1],
                   conn.getAllDomainStats()[0][1]["cpu.time"], domain.info()[1], domain.state()[0], domain.maxMemory()]
        flags = [domain.hasManagedSaveImage(), domain.autostart(), domain.isUpdated(), domain.jobInfo()[0]]
        for each in pools: conn.storagePoolEventDeregisterAny(each)
        for each in devices: conn.nodeDeviceEventDeregisterAny(each)
        for each in secrets: conn.secretEventDeregisterAny(each)
        tell([lists, [text[:8] for text in texts], numbers, flags, filters])
        """,
    )
    lists, texts, numbers, flags, filters = answers
    assert lists == [[]] * 10
    assert filters == [list(NAMES)] * 2
    assert texts == ["<capabil", "<domainC", "<sysinfo", "<domain ", "<domain "]
    assert all(number > 0 for number in numbers) and flags == [0, 0, 0, 0]


def test_the_server_refuses_changes_on_its_read_only_socket(insulad: Insulad, web: str) -> None:
    code = told(
        insulad,
        """
        conn = libvirt.open(uri)   # read-write as far as the client knows
        try:
            conn.lookupByName("web").create()
        except libvirt.libvirtError as error:
            tell([error.get_error_code(), str(error)])
        """,
        read_only=True,
    )
    assert code[0] == 29 and "virDomainCreate" in code[1]
    assert state(insulad, web) == "shut off"


def test_a_console_stream_is_binary_safe_and_ends_with_the_guest(insulad: Insulad, busybox_root: Path) -> None:
    script = busybox_root / "sbin" / "echoer"
    script.write_text("#!/bin/sh\nstty raw -echo </dev/console\necho ready\nhead -c 512\npoweroff -f\n")
    script.chmod(0o755)
    insulad.define(domain_xml("echoer", busybox_root, init="/sbin/echoer"))
    received = told(
        insulad,
        """
        conn = libvirt.open(uri)
        domain = conn.lookupByName("echoer")
        domain.createWithFlags(1)
        stream = conn.newStream(0)
        domain.openConsole(None, stream, 0)
        domain.resume()
        data = b""
        while b"ready" not in data:
            data += stream.recv(4096)
        rest = data.partition(b"ready")[2].lstrip(b"\\r\\n")
        everything = bytes(range(256)) * 2
        stream.send(everything)
        while True:
            part = stream.recv(4096)
            if not part:
                break
            rest += part
        stream.finish()
        tell([rest == everything, len(rest)])
        """,
    )
    assert received == [True, 512]


def test_more_than_a_console_takes_at_once_comes_through_whole_and_the_daemon_answers_meanwhile(
    insulad: Insulad, busybox_root: Path
) -> None:
    script = busybox_root / "sbin" / "talker"
    script.write_text(
        "#!/bin/sh\nstty raw -echo </dev/console\nread go\necho begin\n"
        "dd if=/dev/zero bs=65536 count=400 2>/dev/null | tr '\\0' x\necho end\nsleep 1000\n"
    )
    script.chmod(0o755)
    insulad.define(domain_xml("talker", busybox_root, init="/sbin/talker"))
    counted = told(
        insulad,
        """
        conn = libvirt.open(uri)
        domain = conn.lookupByName("talker")
        domain.create()
        stream = conn.newStream(0)
        domain.openConsole(None, stream, 0)
        stream.send(b"go\\n")
        other = libvirt.open(uri)
        answered = 0
        def ask():
            global answered
            while True:
                other.lookupByName("talker").state()
                answered += 1
        threading.Thread(target=ask, daemon=True).start()
        count, tail = 0, b""
        while not tail.rstrip().endswith(b"end"):
            data = stream.recv(262120)
            assert data, "the console ended"
            count += data.count(b"x")
            tail = (tail + data)[-16:]
        stream.abort()
        domain.destroy()
        tell([count, answered])
        """,
    )
    assert counted[0] == 400 * 65536
    assert counted[1] > 10


def test_many_clients_at_once_each_get_their_own_answers(insulad: Insulad, web: str) -> None:
    processes = [
        client(
            insulad,
            """
            conn = libvirt.open(uri)
            seen = set()
            for _ in range(200):
                domain = conn.lookupByName("web")
                seen.add((domain.name(), tuple(domain.state()), domain.isPersistent()))
            tell(len(seen))
            """,
        )
        for _ in range(6)
    ]
    for process in processes:
        stdout, stderr = process.communicate(timeout=patience(60))
        assert process.returncode == 0, stderr
        assert json.loads(stdout) == 1


def test_clients_with_open_events_survive_the_daemons_restart_by_connecting_again(insulad: Insulad, web: str) -> None:
    process = client(
        insulad,
        """
        def connect():
            conn = libvirt.open(uri)
            conn.domainEventRegisterAny(None, 0, lambda c, dom, event, detail, _: seen.append(event), None)
            return conn
        seen = []
        conn = connect()
        conn.lookupByName("web").create()
        number = conn.lookupByName("web").ID()
        tell("running")
        until(lambda: not conn.isAlive())
        def again():
            global conn
            try:
                conn = connect()
            except libvirt.libvirtError:
                return False
            return True
        until(again)
        same = conn.lookupByName("web").ID() == number
        conn.lookupByName("web").destroy()
        until(lambda: 5 in seen)
        tell([same, seen])
        """,
    )
    assert process.stdout is not None and json.loads(process.stdout.readline()) == "running"
    insulad.kill()
    until(lambda: insulad.process is None, "the daemon's end")
    insulad.start()
    stdout, stderr = process.communicate(timeout=patience(60))
    assert process.returncode == 0, stderr
    assert json.loads(stdout.splitlines()[-1]) == [True, [2, 5]]

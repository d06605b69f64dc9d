"""The commands an administrator types, one by one, with the distribution's own virsh and what it prints."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.guests import (
    Terminal,
    domain_id,
    domain_xml,
    inside,
    state,
    until_booted,
    until_init_listens,
    wait_state,
)
from tests.insulad import Insulad
from tests.probes import missing
from tests.waiting import patience, until

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped"), pytest.mark.client("virsh 9")]

UUID = "5a3e4f10-7c1d-4d0e-9b62-0123456789ab"


@pytest.fixture
def web(insulad: Insulad, busybox_root: Path) -> str:
    """A defined domain, off."""
    insulad.define(domain_xml("web", busybox_root).replace("<memory", f"<uuid>{UUID}</uuid><memory", 1))
    return "web"


@pytest.fixture
def running(insulad: Insulad, web: str) -> str:
    insulad.virsh("start", web)
    return web


def out(insulad: Insulad, *words: str) -> str:
    return insulad.virsh(*words).stdout.strip()


def refused(insulad: Insulad, *words: str, read_only: bool = False) -> str:
    """The error virsh prints for a command that must fail."""
    result = insulad.virsh(*words, check=False, read_only=read_only)
    assert result.returncode != 0, f"virsh {' '.join(words)} did not fail: {result.stdout}"
    return result.stderr.strip()


def table(text: str) -> dict[str, str]:
    """`Key:   value` lines as a dictionary."""
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


# The connection and the host


def test_the_connection_tells_where_and_what_it_is(insulad: Insulad) -> None:
    assert out(insulad, "uri") == insulad.uri
    version = out(insulad, "version", "--daemon")
    assert re.search(
        rf"Running hypervisor: LXC {re.escape('.'.join(os.uname().release.split('-')[0].split('.')[:3]))}", version
    )
    assert "Running against daemon: 11.3.0" in version
    assert out(insulad, "hostname") == insulad.host.run("hostname").stdout.strip()
    assert out(insulad, "connect", "--readonly", insulad.uri) == ""


def test_the_host_is_described(insulad: Insulad) -> None:
    info = table(out(insulad, "nodeinfo"))
    assert info["CPU model"] == os.uname().machine
    assert int(info["CPU(s)"]) == len(os.sched_getaffinity(0)) or int(info["CPU(s)"]) == os.cpu_count()
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert info["Memory size"].split()[0] == meminfo["MemTotal"].split()[0]
    capabilities = out(insulad, "capabilities")
    assert "<os_type>exe</os_type>" in capabilities and re.search(r"<domain type=['\"]lxc['\"]", capabilities)
    assert out(insulad, "sysinfo").startswith("<sysinfo")
    assert "KiB" in out(insulad, "freecell") and "total" in out(insulad, "nodememstats")
    assert "idle:" in out(insulad, "nodecpustats") and "CPUs present:" in out(insulad, "nodecpumap")
    assert "<domain>lxc</domain>" in out(insulad, "domcapabilities")
    assert insulad.virsh("domcapabilities", "--emulatorbin", "/usr/bin/other", check=False).returncode != 0
    assert int(out(insulad, "maxvcpus")) >= 1


@pytest.mark.parametrize(
    "command",
    ["net-list", "pool-list", "nodedev-list", "iface-list", "secret-list", "nwfilter-binding-list"],
)
def test_what_there_is_none_of_is_an_empty_list_and_no_error(insulad: Insulad, command: str) -> None:
    words = (command, "--all") if command in ("net-list", "pool-list", "iface-list") else (command,)
    result = insulad.virsh(*words)
    assert not result.stderr.strip()
    rows = [line for line in result.stdout.splitlines() if line.strip() and not line.startswith("---")]
    assert len(rows) <= 1, "nothing but the heading"


# Definitions


def test_define_list_and_undefine(insulad: Insulad, web: str) -> None:
    listed = out(insulad, "list", "--all").splitlines()
    assert re.fullmatch(r" -\s+web\s+shut off", f" {listed[-1].strip()}")
    assert out(insulad, "list", "--name") == ""
    assert out(insulad, "domuuid", web) == UUID
    assert out(insulad, "domname", UUID) == web
    assert out(insulad, "domid", web) == "-"
    assert out(insulad, "undefine", web).endswith("has been undefined")
    assert out(insulad, "list", "--all", "--name") == ""
    assert "failed to get domain 'web'" in refused(insulad, "dominfo", web)


def test_dumpxml_gives_what_was_defined_and_the_live_facts_while_it_runs(insulad: Insulad, running: str) -> None:
    live, inactive = out(insulad, "dumpxml", running), out(insulad, "dumpxml", "--inactive", running)
    number = domain_id(insulad, running)
    assert re.search(rf"<domain [^>]*id=['\"]{number}['\"]", live) and not re.search(r"<domain [^>]*\bid=", inactive)
    for text in (live, inactive):
        assert f"<uuid>{UUID}</uuid>" in text and "<name>web</name>" in text
    assert "/dev/pts/" in live and "/dev/pts/" not in inactive


@pytest.mark.requires("libvirt-schemas")
def test_a_definition_is_validated_when_that_is_asked_for(insulad: Insulad, web: str, scratch: Path) -> None:
    file = scratch / "web.xml"
    file.write_text(out(insulad, "dumpxml", "--inactive", web))
    insulad.virsh("define", "--validate", str(file))
    file.write_text(file.read_text().replace("<vcpu", "<vcpus>2</vcpus><vcpu"))
    insulad.virsh("define", str(file))
    for verb in ("define", "create"):
        assert "failed to validate against schema: " in refused(insulad, verb, "--validate", str(file))


def test_what_an_undefined_domain_wrote_stays_whatever_flags_came_along(insulad: Insulad, web: str) -> None:
    assert "mutually exclusive" in refused(insulad, "undefine", web, "--nvram", "--keep-nvram")
    insulad.virsh("undefine", web, "--nvram", "--managed-save")
    assert out(insulad, "list", "--all", "--name") == ""


def test_what_belongs_to_others_is_refused_in_libvirts_words(insulad: Insulad, web: str) -> None:
    assert "unknown type 'nonsense'" in refused(insulad, "maxvcpus", "--type", "nonsense")
    said = refused(insulad, "qemu-monitor-command", web, "info")
    assert "this function is not supported by the connection driver: virDomainQemuMonitorCommand" in said


def test_edit_changes_the_definition(insulad: Insulad, web: str, scratch: Path) -> None:
    editor = scratch / "editor"
    editor.write_text(
        "#!/bin/sh\nsed -i 's,<on_reboot>.*</on_reboot>,,; s,</name>,</name><title>edited</title>,' \"$1\"\n"
    )
    editor.chmod(0o755)
    edited = subprocess.run(
        ["virsh", "-c", insulad.uri, "edit", web],
        env={**os.environ, "EDITOR": str(editor), "VISUAL": str(editor)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert edited.returncode == 0, edited.stdout + edited.stderr
    assert out(insulad, "desc", "--title", web) == "edited"


def test_autostart_is_set_and_listed(insulad: Insulad, web: str) -> None:
    assert table(out(insulad, "dominfo", web))["Autostart"] == "disable"
    insulad.virsh("autostart", web)
    assert table(out(insulad, "dominfo", web))["Autostart"] == "enable"
    assert out(insulad, "list", "--all", "--autostart", "--name") == web
    insulad.virsh("autostart", "--disable", web)
    assert out(insulad, "list", "--all", "--no-autostart", "--name") == web


def test_description_title_and_metadata(insulad: Insulad, running: str) -> None:
    insulad.virsh("desc", running, "--live", "--config", "--new-desc", "a web server")
    insulad.virsh("desc", running, "--live", "--config", "--title", "--new-desc", "Web")
    assert out(insulad, "desc", running) == "a web server"
    assert out(insulad, "desc", "--title", running) == "Web"
    assert "Web" in out(insulad, "list", "--title")
    uri = "urn:example:owner"
    assert "metadata not found" in refused(insulad, "metadata", running, uri)
    insulad.virsh("metadata", running, uri, "--key", "o", "--set", "<owner>ops</owner>", "--live", "--config")
    assert "<owner>ops</owner>" in out(insulad, "metadata", running, uri)
    insulad.virsh("metadata", running, uri, "--remove", "--live", "--config")
    assert "metadata not found" in refused(insulad, "metadata", running, uri)


def test_the_filters_of_list(insulad: Insulad, running: str, busybox_root: Path) -> None:
    insulad.define(domain_xml("off", busybox_root))
    insulad.virsh("suspend", running)
    for words, names in (
        ((), ["web"]),
        (("--inactive",), ["off"]),
        (("--all",), ["off", "web"]),
        (("--all", "--persistent"), ["off", "web"]),
        (("--all", "--transient"), []),
        (("--all", "--state-paused"), ["web"]),
        (("--all", "--state-running"), []),
        (("--all", "--state-shutoff"), ["off"]),
        (("--all", "--with-snapshot"), []),
        (("--all", "--without-managed-save"), ["off", "web"]),
        (("--all", "--state-paused", "--state-shutoff"), ["off", "web"]),
    ):
        assert sorted(out(insulad, "list", "--name", *words).split()) == names, words
    insulad.virsh("resume", running)


# The life


@pytest.mark.machine("cgroups")
def test_start_suspend_resume_destroy_with_states_and_reasons(insulad: Insulad, web: str) -> None:
    assert state(insulad, web, reason=True).startswith("shut off")
    assert out(insulad, "start", web) == "Domain 'web' started"
    assert state(insulad, web, reason=True) == "running (booted)"
    number = domain_id(insulad, web)
    assert number is not None and Path(f"/proc/{number}").exists()
    assert out(insulad, "domname", str(number)) == web
    insulad.virsh("suspend", web)
    assert state(insulad, web, reason=True) == "paused (user)"
    insulad.virsh("resume", web)
    assert state(insulad, web, reason=True) == "running (unpaused)"
    assert "domain is already" in refused(insulad, "start", web).lower()
    insulad.virsh("destroy", web)
    assert state(insulad, web, reason=True) == "shut off (destroyed)"
    assert "domain is not running" in refused(insulad, "destroy", web)
    assert domain_id(insulad, web) is None


def test_a_paused_start_waits_for_resume(insulad: Insulad, web: str) -> None:
    insulad.virsh("start", "--paused", web)
    assert state(insulad, web) == "paused"
    insulad.virsh("resume", web)
    assert state(insulad, web) == "running"


def test_shutdown_and_reboot_of_a_busybox_guest(insulad: Insulad, running: str) -> None:
    first = domain_id(insulad, running)
    until_booted(insulad, running)
    insulad.virsh("reboot", running)
    until(lambda: domain_id(insulad, running) not in (None, first), "another id after the reboot", 20)
    insulad.virsh("shutdown", running)
    wait_state(insulad, running, "shut off")
    assert state(insulad, running, reason=True) == "shut off (shutdown)"


def _log(insulad: Insulad, name: str) -> str:
    path = insulad.layout.logs / f"{name}.console0.log"
    return path.read_text(errors="replace") if path.exists() else ""


def test_a_shutdown_right_after_the_start_is_not_lost(insulad: Insulad, web: str) -> None:
    for _ in range(3):
        insulad.virsh("start", web)
        insulad.virsh("shutdown", web)
        wait_state(insulad, web, "shut off")


def test_create_makes_a_domain_that_goes_when_it_stops(insulad: Insulad, busybox_root: Path, scratch: Path) -> None:
    file = scratch / "domain.xml"
    file.write_text(domain_xml("passing", busybox_root))
    insulad.virsh("create", str(file))
    assert out(insulad, "list", "--transient", "--name") == "passing"
    assert table(out(insulad, "dominfo", "passing"))["Persistent"] == "no"
    insulad.virsh("destroy", "passing")
    assert out(insulad, "list", "--all", "--name") == ""


def test_a_domain_created_with_autodestroy_goes_with_its_connection(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    file = scratch / "domain.xml"
    file.write_text(domain_xml("bound", busybox_root))
    terminal = Terminal("virsh", "-c", insulad.uri)
    try:
        terminal.expect("virsh # ")
        terminal.type(f"create --autodestroy {file}\r")
        terminal.expect("created from")
        assert out(insulad, "list", "--name") == "bound"
        terminal.process.send_signal(signal.SIGKILL)
        until(lambda: out(insulad, "list", "--all", "--name") == "", "the end of the domain")
    finally:
        terminal.close()


def test_descriptors_are_passed_to_the_guests_init(insulad: Insulad, busybox_root: Path, scratch: Path) -> None:
    script = busybox_root / "sbin" / "teller"
    script.write_text("#!/bin/sh\ncat <&3 >/dev/console\nexec sleep 1000\n")
    script.chmod(0o755)
    insulad.define(domain_xml("passed", busybox_root, init="/sbin/teller"))
    secret = scratch / "secret"
    secret.write_text("told through a descriptor\n")
    with secret.open() as file:
        started = subprocess.run(
            ["virsh", "-c", insulad.uri, "start", "passed", "--pass-fds", str(file.fileno())],
            pass_fds=[file.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert started.returncode == 0, started.stderr
    until(lambda: "told through a descriptor" in _log(insulad, "passed"), "what was in the descriptor")


# What it is and uses


def test_dominfo_of_a_running_domain(insulad: Insulad, running: str) -> None:
    info = table(out(insulad, "dominfo", running))
    assert info["Id"] == str(domain_id(insulad, running))
    assert (info["Name"], info["UUID"], info["OS Type"], info["State"]) == ("web", UUID, "exe", "running")
    assert (info["Persistent"], info["Managed save"], info["Max memory"]) == ("yes", "no", "524288 KiB")
    assert int(info["CPU(s)"]) >= 1 and info["CPU time"].endswith("s")
    assert info["Security model"] == "none"


def test_memory_is_tuned_live_and_in_the_definition(insulad: Insulad, running: str) -> None:
    assert "hard_limit" in out(insulad, "memtune", running)
    insulad.virsh("memtune", running, "--hard-limit", "262144", "--live", "--config")
    assert table(out(insulad, "memtune", running))["hard_limit"] == "262144"
    assert table(out(insulad, "memtune", "--config", running))["hard_limit"] == "262144"
    insulad.virsh("setmem", running, "131072", "--live")
    assert re.search(r"actual\s+131072", out(insulad, "dommemstat", running))
    insulad.virsh("dommemstat", running, "--period", "5", "--live", "--config")
    insulad.virsh("destroy", running)
    insulad.virsh("setmaxmem", running, "1048576", "--config")
    assert table(out(insulad, "dominfo", running))["Max memory"] == "1048576 KiB"
    assert "domain is not running" in refused(insulad, "setmem", running, "131072", "--live")


def test_scheduling_is_tuned(insulad: Insulad, running: str) -> None:
    shown = table(out(insulad, "schedinfo", running))
    assert shown["Scheduler"] == "posix" and int(shown["cpu_shares"]) > 0
    insulad.virsh("schedinfo", running, "--live", "--set", "cpu_shares=512")
    assert table(out(insulad, "schedinfo", running))["cpu_shares"] == "512"
    insulad.virsh("schedinfo", running, "--config", "--set", "cpu_shares=256")
    assert table(out(insulad, "schedinfo", "--config", running))["cpu_shares"] == "256"
    assert "invalid scheduler option: nonsense" in refused(insulad, "schedinfo", running, "--set", "nonsense=1")


def test_what_follows_an_end_is_changed_for_the_run_and_the_definition(insulad: Insulad, running: str) -> None:
    insulad.virsh("set-lifecycle-action", running, "poweroff", "restart", "--live")
    insulad.virsh("set-lifecycle-action", running, "crash", "preserve", "--config")
    live, kept = out(insulad, "dumpxml", running), out(insulad, "dumpxml", "--inactive", running)
    assert "<on_poweroff>restart<" in live and "<on_crash>destroy<" in live
    assert "<on_poweroff>destroy<" in kept and "<on_crash>preserve<" in kept
    before = domain_id(insulad, running)
    until_init_listens(before)
    inside(insulad, running, "poweroff", check=False)
    until(lambda: domain_id(insulad, running) not in (None, before), "the guest having been started again")
    assert "crashes only" in refused(insulad, "set-lifecycle-action", running, "reboot", "coredump-restart", "--config")


def test_block_io_is_shown_and_tuned(insulad: Insulad, running: str) -> None:
    assert "weight" in out(insulad, "blkiotune", running)
    insulad.virsh("blkiotune", running, "--weight", "200", "--config")
    assert table(out(insulad, "blkiotune", "--config", running))["weight"] == "200"


def test_statistics_of_one_domain(insulad: Insulad, running: str) -> None:
    assert "cpu_time" in out(insulad, "cpu-stats", running, "--total")
    apart = "CPU0:" if missing("cgroup1.cpuacct") == "" else "No per-CPU stats available"  # cgroup v2 has sums only
    by_processor = out(insulad, "cpu-stats", running)
    assert apart in by_processor
    assert re.search(r"Total:\n\s+cpu_time", by_processor)
    memory = dict(line.split() for line in out(insulad, "dommemstat", running).splitlines())
    assert int(memory["rss"]) > 0 and int(memory["actual"]) == 524288
    counted = out(insulad, "vcpucount", running)
    assert re.search(r"maximum\s+live\s+\d+", counted)
    assert int(out(insulad, "vcpucount", running, "--live", "--current")) >= 1
    assert re.search(r"CPU: +\d+\s+State: +running", out(insulad, "vcpuinfo", running))


@pytest.mark.machine("cgroups")
def test_bulk_statistics(insulad: Insulad, running: str, busybox_root: Path) -> None:
    insulad.define(domain_xml("off", busybox_root))
    text = out(insulad, "domstats")
    assert text.count("Domain:") == 2
    web = next(part for part in text.split("Domain: ") if part.startswith("'web'"))
    values = dict(line.strip().split("=", 1) for line in web.splitlines()[1:] if "=" in line)
    assert (values["state.state"], values["state.reason"]) == ("1", "1")
    assert int(values["cpu.time"]) > 0 and int(values["balloon.current"]) == 524288
    only_state = out(insulad, "domstats", "--state", running)
    assert "state.state=1" in only_state and "cpu.time" not in only_state
    assert "Domain: 'off'" in out(insulad, "domstats", "--list-inactive")
    assert "not supported" in refused(insulad, "domstats", "--perf", "--enforce").lower()


def test_devices_are_listed(insulad: Insulad, running: str) -> None:
    assert "Target" in out(insulad, "domblklist", running)
    assert "Interface" in out(insulad, "domiflist", running)
    assert "Name" in out(insulad, "domifaddr", running, "--source", "arp")


# Inside


def test_nobody_is_given_the_namespaces_of_a_guest_with_ids_of_its_own(insulad: Insulad, running: str) -> None:
    """libvirt's client would be the host's root there, with the host's settings writable below /proc/sys."""
    told = refused(insulad, "lxc-enter-namespace", running, "--noseclabel", "--", "/bin/cat", "/proc/self/uid_map")
    assert told.splitlines()[0] == (
        f"error: Operation not supported: domain '{running}' has ids of its own, and a client would enter its "
        f"namespaces as the host's root: 'insula exec {running} -- COMMAND' runs programs as the guest's, "
        "or permit it with <insula:opennamespace/> in the metadata"
    )


@pytest.mark.parametrize("settings", ["<insula:opennamespace/>", "<insula:privileged/>"])
def test_namespaces_are_entered_by_the_clients_own_command(insulad: Insulad, busybox_root: Path, settings: str) -> None:
    insulad.define(domain_xml("open", busybox_root, settings=settings))
    insulad.virsh("start", "open")
    for option in ("", "--noseclabel"):
        words = ["lxc-enter-namespace", *([option] if option else []), "open", "--", "/bin/cat", "/etc/hostname"]
        entered = insulad.virsh(*words)
        assert entered.stdout.splitlines()[0] == "busybox", entered.stderr
    assert "bin" in insulad.virsh("lxc-enter-namespace", "open", "--", "/bin/ls", "/").stdout.split()


def test_whoever_enters_a_privileged_guest_cannot_change_the_hosts_settings(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("open", busybox_root, settings="<insula:privileged/>"))
    insulad.virsh("start", "open")
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity"):
        script = f"test -e {path} && : >> {path} && echo opened"
        entered = insulad.virsh(
            "lxc-enter-namespace", "open", "--noseclabel", "--", "/bin/sh", "-c", script, check=False
        )
        assert "opened" not in entered.stdout, path


def test_a_signal_reaches_the_guests_init(insulad: Insulad, busybox_root: Path) -> None:
    script = busybox_root / "sbin" / "waiter"
    script.write_text("#!/bin/sh\ntrap 'echo got usr1 >/dev/console' USR1\nwhile :; do sleep 0.1; done\n")
    script.chmod(0o755)
    insulad.define(domain_xml("waits", busybox_root, init="/sbin/waiter"))
    insulad.virsh("start", "waits")

    def told() -> bool:
        insulad.virsh("send-process-signal", "waits", "1", "usr1")
        return "got usr1" in _log(insulad, "waits")

    until(told, "the guest's answer to SIGUSR1")


# Refusals


def test_errors_have_libvirts_words(insulad: Insulad, web: str, scratch: Path) -> None:
    assert refused(insulad, "dominfo", "nope").splitlines() == [
        "error: failed to get domain 'nope'",
    ] or "Domain not found: no domain with matching name 'nope'" in refused(insulad, "dominfo", "nope")
    assert "domain is not running" in refused(insulad, "shutdown", web)
    assert "domain is not running" in refused(insulad, "suspend", web)
    assert "not supported by the connection driver: virDomain" in refused(insulad, "managedsave", web)
    bad = scratch / "bad.xml"
    bad.write_text("<domain type='lxc'>\n<name>x</name>\n<oops>\n</domain>")
    assert "XML" in refused(insulad, "define", str(bad))
    bad.write_text("<domain type='kvm'><name>x</name></domain>")
    assert "kvm" in refused(insulad, "define", str(bad))
    rootless = scratch / "rootless.xml"
    rootless.write_text(
        "<domain type='lxc'><name>r</name><memory>1024</memory>"
        "<os><type>exe</type><init>/sbin/init</init></os></domain>"
    )
    insulad.virsh("define", str(rootless), check=False)
    assert "root" in refused(insulad, "start", "r")


def test_a_read_only_connection_may_look_and_not_touch(insulad: Insulad, running: str) -> None:
    assert running in insulad.virsh("list", "--name", read_only=True).stdout
    for words in (("destroy", running), ("suspend", running), ("undefine", running), ("setmem", running, "1024")):
        assert "read only" in refused(insulad, *words, read_only=True).lower()
    assert state(insulad, running) == "running"


def test_the_read_only_socket_is_read_only_whatever_the_client_says(insulad: Insulad, running: str) -> None:
    sly = subprocess.run(
        ["virsh", "-c", insulad.uri_read_only, "destroy", running], capture_output=True, text=True, check=False
    )
    assert sly.returncode != 0 and "read only access prevents virDomainDestroy" in sly.stderr
    assert state(insulad, running) == "running"


def test_garbage_on_the_socket_hurts_nobody(insulad: Insulad, running: str) -> None:
    with insulad.host.network(), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(insulad.socket))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n" * 10)
        client.settimeout(patience(10))
        assert client.recv(100) == b""
    assert state(insulad, running) == "running"
    assert "broke the protocol" in insulad.log_text()


def test_a_definition_is_read_by_its_declared_encoding(insulad: Insulad, busybox_root: Path, scratch: Path) -> None:
    titled = domain_xml("bb", busybox_root).replace("<memory", "<title>größe</title><memory", 1)
    file = scratch / "bb.xml"
    file.write_bytes(f"<?xml version='1.0' encoding='ISO-8859-1'?>\n{titled}".encode("iso-8859-1"))
    insulad.virsh("define", str(file))
    assert "<title>größe</title>" in insulad.virsh("dumpxml", "bb").stdout

"""`insula explain`: operations are refused in guests for real, and the layer that refused each is named."""

import json
import os
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import insula as insula_sdk
from insula.errors import OperationFailedError
from insula.sdk.blocking_domains import Host
from insula.sdk.values import ExecRequest
from tests.e2e.guests import insula
from tests.e2e.refusals import PRIVILEGED, REFUSED, UNPRIVILEGED, Refused
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "debian-12-image")

_NAMESPACE = "https://insula.dev/xmlns/domain/1"
_QUOTAS = "".join(
    f"<insula:sysctl name='user.max_{name}' value='{value}'/>"
    for name, value in (("inotify_instances", 5), ("user_namespaces", 0))
)


def _xml(name: str, root: Path, data: Path, foreign: Path) -> str:
    settings = "<insula:pids limit='20'/><insula:rlimit name='nofile' soft='64' hard='64'/>"
    settings += "<insula:privileged/>" if name == PRIVILEGED else _QUOTAS
    shown = (
        ""
        if name == PRIVILEGED
        else (
            f"<filesystem type='mount' insula:idmap='off' xmlns:insula='{_NAMESPACE}'>"
            f"<source dir='{foreign}'/><target dir='/opt'/></filesystem>"
        )
    )
    return (
        f"<domain type='lxc'><name>{name}</name>"
        f"<metadata><insula:domain xmlns:insula='{_NAMESPACE}'>{settings}</insula:domain></metadata>"
        "<memory unit='MiB'>512</memory><os><type>exe</type><init>/bin/sleep</init><initarg>infinity</initarg></os>"
        f"<devices><filesystem type='mount'><source dir='{root}'/><target dir='/'/><readonly/></filesystem>"
        f"<filesystem type='mount'><source dir='{data}'/><target dir='/srv'/><readonly/></filesystem>{shown}"
        "<filesystem type='ram'><source usage='2' units='MiB'/><target dir='/tmp'/></filesystem>"
        "<console type='pty'/></devices></domain>"
    )


@pytest.fixture
def explained(insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path) -> Callable[[str], None]:
    """Starts a guest, with what the table's operations need."""
    data, foreign = scratch / "data", scratch / "foreign"
    data.mkdir()
    os.mknod(data / "disk", stat.S_IFBLK | 0o666, os.makedev(259, 4000))
    foreign.mkdir()
    (foreign / "file").touch()

    def start(kind: str) -> None:
        insulad.define(_xml(kind, debian_root("12"), data, foreign))
        insulad.virsh("start", kind)

    return start


def _explanation(host: Host, nowhere: tuple[int, int, int], kind: str, case: Refused) -> str:
    """Return what is wrong with the explanation of one refusal, nothing if nothing is."""
    request = ExecRequest(argv=case.command, user=case.user)
    running = host.domain(kind).execute(request, nowhere, traced=True)
    running.wait()
    told = running.explanation()
    mattered = [each for each in told["refusals"] if each["mattered"]]
    if len(mattered) != 1:
        return f"{len(mattered)} refusals mattered: {told}"
    found = mattered[0]
    layers = [each["layer"] for each in found["verdicts"]]
    changes = [each["change"] for each in found["verdicts"]]
    if found["errno"] != case.errno or layers[0] != case.layer:
        return f"{found['call']} {found['errno']}: {found['verdicts']}"
    return "" if case.change in changes[0] and bool(case.change) == bool(changes[0]) else f"{found['call']}: {changes}"


@pytest.mark.parametrize("kind", [UNPRIVILEGED, PRIVILEGED])
def test_every_refusal_is_explained_by_the_layer_that_it_comes_from(
    insulad: Insulad, explained: Callable[[str], None], kind: str
) -> None:
    explained(kind)
    cases = [each for each in REFUSED if kind in each.guests]
    with open(os.devnull, "r+b") as null, insula_sdk.connect(insulad.uri) as host:
        nowhere = (null.fileno(),) * 3
        wrong = {each.name: found for each in cases if (found := _explanation(host, nowhere, kind, each))}
    assert len(cases) >= 30 and not wrong, "\n".join(f"{name}: {found}" for name, found in wrong.items())


def test_the_command_line_tells_what_mattered_and_what_holds_the_guest(
    insulad: Insulad, explained: Callable[[str], None]
) -> None:
    explained(UNPRIVILEGED)
    command = ("sh", "-c", "echo said; chroot /nowhere 2>/dev/null; mknod /tmp/disk b 8 0")
    told = insula(insulad, "explain", "--null", UNPRIVILEGED, "--", *command)
    assert told.stdout.startswith("said\n") and "the command ended with status 1" in told.stdout
    assert 'mknod("/tmp/disk"' in told.stdout or 'mknodat(AT_FDCWD, "/tmp/disk"' in told.stdout
    assert "refused by: user namespace" in told.stdout and "<hostdev mode='capabilities'" in told.stdout
    document = insula(insulad, "explain", "--json", "--null", UNPRIVILEGED, "--", *command)
    assert "said" in document.stderr and json.loads(document.stdout)["status"] == 256
    held = insula(insulad, "explain", UNPRIVILEGED).stdout
    assert "system call filter:" in held and "of 20 processes and threads" in held
    fine = insula(insulad, "explain", UNPRIVILEGED, "--", "true").stdout
    assert "the command succeeded" in fine


_INT80 = bytes.fromhex("b81b010000 31db 31c9 31d2 31f6 cd80 b801000000 bb01000000 cd80".replace(" ", ""))
"""kexec_load(0, 0, 0, 0), then exit(1), as a 32-bit program asks the kernel."""


def _program(path: Path, code: bytes) -> None:
    """Write a program of 64 bits that consists of this code. Source: elf(5)."""
    base, head = 0x400000, 64 + 56
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    size = head + len(code)
    path.write_bytes(header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code)
    path.chmod(0o755)


@pytest.mark.requires("ia32")
def test_a_call_of_32_bits_is_judged_by_the_numbers_that_it_has_there(
    insulad: Insulad, explained: Callable[[str], None], scratch: Path
) -> None:
    explained(UNPRIVILEGED)
    _program(scratch / "data" / "old", _INT80)
    told = json.loads(insula(insulad, "explain", "--json", UNPRIVILEGED, "--", "/srv/old").stdout)
    (found,) = [each for each in told["refusals"] if each["mattered"]]
    assert (found["name"], found["errno"], found["certain"]) == ("kexec_load", "EPERM", True)
    assert found["verdicts"][0]["layer"] == "system call filter"


def test_should_the_tracer_be_killed_the_command_goes_on(insulad: Insulad, explained: Callable[[str], None]) -> None:
    explained(UNPRIVILEGED)
    with open(os.devnull, "r+b") as null, insula_sdk.connect(insulad.uri) as host:
        request = ExecRequest(argv=("sh", "-c", "while test ! -e /tmp/go; do :; done; exit 3"))
        running = host.domain(UNPRIVILEGED).execute(request, (null.fileno(),) * 3, traced=True)
        tracer = int(_status(running.pid)["TracerPid"])
        os.kill(tracer, signal.SIGKILL)
        until(lambda: _status(running.pid)["TracerPid"] == "0", "nobody tracing the command")
        insula(insulad, "exec", UNPRIVILEGED, "--", "touch", "/tmp/go")
        assert os.waitstatus_to_exitcode(running.wait()) == 3
        with pytest.raises(OperationFailedError, match="died"):
            running.explanation()


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_a_program_that_begins_others_without_end_is_followed(
    insulad: Insulad, explained: Callable[[str], None]
) -> None:
    explained(UNPRIVILEGED)
    script = "i=0; while test $i -lt 200; do (exit 0); i=$((i + 1)); done; setpriv --reuid 500000 true"
    command = ("perl", "-e", f"for (1..100) {{ waitpid(fork() || exit, 0) }} exec 'sh', '-c', '{script}'")
    told = json.loads(insula(insulad, "explain", "--json", UNPRIVILEGED, "--", *command).stdout)
    assert told["status"] != 0 and not told["overlooked"]
    (found,) = [each for each in told["refusals"] if each["mattered"]]
    assert found["verdicts"][0]["layer"] == "id map"

"""`insula explain`: operations are refused in guests for real, and the layer that refused each is named."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import insula as insula_sdk
from insula.sdk.blocking_domains import Host
from insula.sdk.values import ExecRequest
from tests.e2e.refusals import PRIVILEGED, REFUSED, UNPRIVILEGED, Refused
from tests.insulad import Insulad

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

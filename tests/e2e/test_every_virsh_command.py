"""Every command of virsh 9, 11 and 12 on one container: it works, or is refused in the words that the table says."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import sideload
from tests.e2e.virshcommands import FILES, NOTHING, OWN, Asked, asked
from tests.insulad import Insulad
from tests.waiting import patience, scaled

pytestmark = [pytest.mark.requires("virsh", "nft", "dnsmasq"), pytest.mark.timeout(scaled(300))]

UUID = "0eee0000-0000-4000-8000-000000000001"
GENERATIONS = [
    pytest.param("virsh", marks=pytest.mark.client("virsh 9")),
    pytest.param("virsh-11", marks=[pytest.mark.requires("virsh-11"), pytest.mark.client("virsh 11")]),
    pytest.param("virsh-12", marks=[pytest.mark.requires("virsh-12"), pytest.mark.client("virsh 12")]),
]


def commands_of(program: str) -> set[str]:
    """Return the commands that a virsh has: those that its `help` lists."""
    listed = subprocess.run([program, "help"], capture_output=True, text=True, check=True, timeout=patience(30)).stdout
    return set(re.findall(r"^    (\S+)", listed, re.MULTILINE))


def files(root: Path, scratch: Path) -> dict[str, str]:
    """Write the documents of the table; return what stands for each word in braces."""
    filled = {
        "uuid": UUID,
        "root": str(root),
        "scratch": str(scratch),
        "d": "every",
        "disk.img": str(scratch / "disk.img"),
    }
    for name, text in FILES.items():
        (scratch / name).write_text(text.format(**filled))
        filled[name] = str(scratch / name)
    Path(filled["disk.img"]).touch()
    os.truncate(filled["disk.img"], 8 << 20)
    return filled


def fault(insulad: Insulad, program: str, command: Asked, filled: dict[str, str]) -> str:
    """Ask for a command; return what is not as the table says."""
    words = [re.sub(r"\{([\w.-]+)\}", lambda found: filled[found[1]], each) for each in command.words]
    result = insulad.virsh(*words, check=False, program=program, seconds=60)
    while "domain is not running" in result.stderr and words[0] in ("shutdown", "destroy"):  # it is amid its reboot
        result = insulad.virsh(*words, check=False, program=program, seconds=60)
    said = " ".join(result.stderr.split())
    if command.refusal == NOTHING:
        as_said = result.returncode != 0 and not said
    else:
        as_said = bool(result.returncode) == bool(command.refusal) and command.refusal in said
    return (
        "" if as_said else f"{' '.join(words)}: {result.returncode}: {said}, and not: {command.refusal or 'it works'}"
    )


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_command_of_virsh_works_or_is_refused_as_the_table_says(
    insulad: Insulad, busybox_root: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, generation: str
) -> None:
    program = generation if generation == "virsh" else str(sideload.found(generation))
    known = commands_of(program)
    assert known <= {*OWN, *(each.words[0] for each in asked())}, "every command has a row"
    monkeypatch.setenv("VISUAL", "true")  # what is edited stays as it is
    filled = {**files(busybox_root, scratch), "uri": insulad.uri, "port": "", "network": ""}
    faults = []
    for command in asked():
        if command.words[0] not in known:
            continue
        for name, words in (("port", ("net-port-list", "n", "--uuid")), ("network", ("net-uuid", "n"))):
            if f"{{{name}}}" in command.words:
                filled[name] = insulad.virsh(*words, program=program).stdout.split()[0]
        faults.append(fault(insulad, program, command, filled))
    assert list(filter(None, faults)) == []

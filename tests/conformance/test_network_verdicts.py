"""Which networks can be defined, by us and by libvirt: each line of tests/data/network-verdicts is the inside of one.

libvirt's parser decides here; some of what it takes its network driver refuses when the network starts.
"""

import re
import subprocess
from pathlib import Path

import pytest

from insula.errors import InsulaError
from insula.model.network import load_network
from insula.model.networkchecks import validate_network
from tests import sideload
from tests.unit.model.networks import UUID_TEXT, network_xml
from tests.waiting import patience

VERDICTS = Path(__file__).parents[1] / "data/network-verdicts"
GENERATIONS = [pytest.param(each, marks=pytest.mark.requires(each)) for each in ("virsh", "virsh-11", "virsh-12")]
OURS = {"both-take": True, "both-refuse": False, "only-libvirt-takes": False, "only-insula-takes": True}
LIBVIRTS = {"both-take": True, "both-refuse": False, "only-libvirt-takes": True, "only-insula-takes": False}


def documents(name: str) -> list[str]:
    return [network_xml(line) for line in (VERDICTS / f"{name}.txt").read_text().splitlines()]


def is_taken(xml: str) -> bool:
    try:
        validate_network(load_network(xml))
    except InsulaError:
        return False
    return True


@pytest.mark.parametrize(("name", "taken"), OURS.items(), ids=str)
def test_our_verdict_is_what_is_written_down(name: str, taken: bool) -> None:
    assert len(documents(name)) >= 3
    assert [each for each in documents(name) if is_taken(each) is not taken] == []


@pytest.mark.parametrize(("name", "taken"), LIBVIRTS.items(), ids=str)
@pytest.mark.parametrize("virsh", GENERATIONS)
def test_libvirts_verdict_is_what_is_written_down(virsh: str, name: str, taken: bool, tmp_path: Path) -> None:
    program = "virsh" if virsh == "virsh" else str(sideload.found(virsh))
    files = []
    for number, xml in enumerate(documents(name)):
        files.append(tmp_path / f"{number}.xml")
        files[-1].write_text(xml)
    commands = "; ".join(f"net-define {file}; net-undefine {UUID_TEXT}" for file in files)
    result = subprocess.run(
        [program, "--quiet", "-c", "test:///default", commands],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    refused = set(re.findall(r"Failed to define network from (\S+)", result.stderr))
    assert [file.read_text() for file in files if (str(file) not in refused) is not taken] == []

"""systemd's manual is the judge of which keys there are."""

import gzip
import re
from pathlib import Path

import pytest

from insula.conversion.foreigndocument import ForeignEntry
from insula.conversion.nspawnkeys import NSPAWN_KEYS, without_init
from insula.engine.policy.capabilities import CapabilityPolicy
from insula.model.domain import DomainDefinition
from insula.model.scalars import UNLIMITED
from insula.model.security import Capability
from insula.model.sizes import CpuSet
from tests.unit.conversion.conversions import converted, keys_of
from tests.unit.conversion.foreignkeys import documented, repeated_rows, unanswered

MANUAL = Path("/usr/share/man/man5/systemd.nspawn.5.gz")
TREE = "(the file's name)"


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("nspawn", f"[Exec]\n{text}")
    return found.domain, keys_of(found.findings) - {TREE}


def test_every_documented_key_is_mapped_or_says_why_not() -> None:
    assert unanswered(NSPAWN_KEYS, documented("nspawn")) == []
    assert repeated_rows(NSPAWN_KEYS) == []


@pytest.mark.requires("nspawn")
def test_every_key_of_the_manual_that_is_installed_is_known() -> None:
    text = gzip.decompress(MANUAL.read_bytes()).decode()
    keys = [
        each
        for line in re.findall(r"^\.PP\n(\\fI[A-Z].*)$", text, re.MULTILINE)
        for each in re.findall(r"\\fI(\w+)=", line)
    ]
    assert len(keys) > 50
    known = {each.name.partition(".")[2] for each in NSPAWN_KEYS.keys}
    assert [each for each in keys if each not in known and not each.startswith("Limit")] == []


def test_what_runs_first_is_init_or_the_program() -> None:
    domain, findings = _read(
        "Boot=yes\nParameters=--unit 'rescue target'\nUser=1\nWorkingDirectory=/x\nEnvironment=A=b=c\n"
    )
    assert (str(domain.os.init), domain.os.arguments) == ("/sbin/init", ("--unit", "rescue target"))
    assert (domain.os.user, str(domain.os.directory), domain.os.environment[0].value) == ("1", "/x", "b=c")
    assert findings == set()
    domain, _ = _read("Boot=no\nParameters=/bin/sh -c x\n")
    assert (str(domain.os.init), domain.os.arguments) == ("/bin/sh", ("-c", "x"))
    assert without_init(ForeignEntry(key="x", value="3")).value == "/sbin/init 3"


def test_ids_are_chosen_or_told() -> None:
    assert _read("PrivateUsers=pick")[0].idmap is None
    domain, findings = _read("PrivateUsers=200000:65536")
    assert domain.idmap is not None and domain.idmap.uids[0].target == 200000 and findings == set()
    domain, findings = _read("PrivateUsers=no")
    assert not domain.settings.privileged and findings == {"Exec.PrivateUsers"}


def test_capabilities_are_added_dropped_or_all() -> None:
    domain, findings = _read("Capability=CAP_BPF\nDropCapability=CAP_SYS_BOOT CAP_FLYING")
    assert domain.features is not None and domain.features.capabilities is not None
    assert [each.capability for each in domain.features.capabilities.states] == [Capability.BPF, Capability.SYS_BOOT]
    assert findings == {"Exec.DropCapability"}
    for text, policy in (("Capability=all", CapabilityPolicy.ALLOW), ("DropCapability=all", CapabilityPolicy.DENY)):
        domain, _ = _read(text)
        assert domain.features is not None and domain.features.capabilities is not None
        assert domain.features.capabilities.policy is policy


def test_what_is_dropped_is_dropped_whatever_is_added() -> None:
    domain, _ = _read("DropCapability=all\nCapability=CAP_CHOWN")
    assert domain.features is not None and domain.features.capabilities is not None
    assert domain.features.capabilities.states == ()


def test_limits_have_units_and_no_ends() -> None:
    domain, findings = _read("LimitNOFILE=1024:4096\nLimitMEMLOCK=64M\nLimitCORE=infinity\nLimitLOCKS=1\nLimitAS=much")
    assert [(each.name, each.bounds) for each in domain.settings.limits] == [
        ("nofile", (1024, 4096)),
        ("memlock", (64 << 20, 64 << 20)),
        ("core", (UNLIMITED, UNLIMITED)),
    ]
    assert findings == {"Exec.LimitLOCKS", "Exec.LimitAS"}


def test_who_and_where_it_is_is_kept() -> None:
    domain, findings = _read(
        "Hostname=web\nMachineID=8a7c2b026a4e4a6fa5d3b1a9f2c37a12\nCPUAffinity=0-1 3\nPersonality=x86"
    )
    assert (domain.settings.hostname, domain.uuid.hex) == ("web", "8a7c2b026a4e4a6fa5d3b1a9f2c37a12")
    assert (domain.vcpu.cpus, domain.os.type.arch, findings) == (CpuSet((0, 1, 3)), "i686", set())


@pytest.mark.parametrize(
    "line",
    [
        "Parameters='open",
        "Environment=HOME",
        "WorkingDirectory=x",
        "Personality=z80",
        "MachineID=x",
        "PrivateUsers=x",
        "CPUAffinity=few",
        "Ephemeral=yes",
        "ProcessTwo=yes",
        "NoNewPrivileges=yes",
        "KillSignal=SIGTERM",
        "SystemCallFilter=@mount",
        "LinkJournal=host",
        "Nonsense=1",
    ],
)
def test_what_cannot_be_is_named(line: str) -> None:
    assert _read(line)[1] == {f"Exec.{line.partition('=')[0]}"}


def test_what_is_so_anyway_says_nothing() -> None:
    assert (
        _read("Ephemeral=no\nProcessTwo=off\nLinkJournal=try-guest\nTimezone=off\nResolvConf=off\nNotifyReady=no")[1]
        == set()
    )

import pytest

from insula.conversion.openvzkeys import OPENVZ_KEYS, barrier_and_limit
from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemDriverType
from insula.model.scalars import OnOff
from insula.model.sizes import CpuSet
from tests.unit.conversion.conversions import converted, keys_of
from tests.unit.conversion.foreignkeys import documented, repeated_rows, unanswered

TREE = 'VE_PRIVATE="/vz/private/101"\n'


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("openvz", TREE + text)
    return found.domain, keys_of(found.findings)


def test_every_documented_key_is_mapped_or_says_why_not() -> None:
    assert unanswered(OPENVZ_KEYS, documented("openvz")) == []
    assert repeated_rows(OPENVZ_KEYS) == []


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("0:131072", (0, 131072)),
        ("512M", (131072, 131072)),
        ("10p:20p", (10, 20)),
        ("0:unlimited", (0, None)),
        ("9223372036854775807", (None, None)),
        ("2147483647:2147483647", (None, None)),
    ],
)
def test_limits_are_pairs_in_pages_or_with_a_unit(text: str, pair: tuple[int | None, int | None]) -> None:
    assert barrier_and_limit(text) == pair


def test_memory_processes_and_processors_have_their_limits() -> None:
    domain, findings = _read(
        'PHYSPAGES="0:131072"\nSWAPPAGES="0:65536"\nVMGUARPAGES="32768:unlimited"\nNUMPROC="500:500"\n'
        'CPUUNITS="2000"\nCPULIMIT="150"\nCPUS="2"\nCPUMASK="0-1"\nNODEMASK="0"\nKMEMSIZE="unlimited"\n'
    )
    tune, cpu = domain.memory_tune, domain.cpu_tune
    assert tune is not None and cpu is not None and findings == set()
    assert (domain.memory, tune.swap_hard_limit, tune.min_guarantee) == (512 << 10, 768 << 10, 128 << 10)
    assert (cpu.shares, cpu.quota, cpu.period) == (2048, 150_000, 100_000)
    assert (domain.vcpu.count, domain.vcpu.cpus, domain.settings.pids_limit) == (2, CpuSet((0, 1)), 500)


def test_who_it_is_and_whom_it_asks_is_kept() -> None:
    domain, findings = _read(
        'NAME="db"\nHOSTNAME="db.example"\nDESCRIPTION="our db"\nNAMESERVER="192.0.2.53 inherit"\n'
        'SEARCHDOMAIN="example"\n'
        'UUID="4f4f0a7e-5b1e-4c17-9e6b-0e0b6f2a7a17"\n'
    )
    assert (domain.name, domain.settings.hostname, domain.description) == ("guest", "db.example", "our db")
    assert str(domain.uuid) == "4f4f0a7e-5b1e-4c17-9e6b-0e0b6f2a7a17"
    assert [str(each) for each in domain.settings.nameservers] == ["192.0.2.53"]
    assert findings == {"NAMESERVER"}


def test_capabilities_nodes_and_features_are_given_one_by_one() -> None:
    domain, findings = _read(
        'CAPABILITY="NET_ADMIN:on SYS_TIME:off"\nDEVNODES="net/tun:rw fuse:rw x:none"\nFEATURES="nfs:on sit:off"'
    )
    assert domain.features is not None and domain.features.capabilities is not None
    assert [each.state for each in domain.features.capabilities.states] == [OnOff.ON, OnOff.OFF]
    assert [str(each.source.character) for each in domain.devices.host_devices] == ["/dev/net/tun", "/dev/fuse"]
    assert findings == {"FEATURES"}


def test_a_ploop_image_is_named() -> None:
    domain, findings = _read('VE_LAYOUT="ploop"')
    assert domain.root is not None and domain.root.driver is not None
    assert domain.root.driver.type is FilesystemDriverType.PLOOP and findings == {"VE_LAYOUT"}


@pytest.mark.parametrize(
    "line",
    [
        'PHYSPAGES="much"',
        'SWAPPAGES="much"',
        'VMGUARPAGES="much"',
        'NUMPROC="many"',
        'CPULIMIT="all"',
        'CPUMASK="few"',
        'KMEMSIZE="1000:2000"',
        'CAPABILITY="FLYING:on"',
        'DEVNODES="../sda:rw"',
        'ONBOOT="yes"',
        'DISKSPACE="1G:2G"',
        'VE_LAYOUT="cloud"',
        'UUID="x"',
        'NONSENSE="1"',
    ],
)
def test_what_cannot_be_is_named(line: str) -> None:
    assert _read(line)[1] == {line.partition("=")[0]}


def test_what_is_so_anyway_says_nothing() -> None:
    assert _read('ONBOOT="no"\nDISABLED="no"\nVE_LAYOUT="simfs"\nCPUMASK="all"\nCPULIMIT="0"')[1] == set()

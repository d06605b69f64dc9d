import pytest

from insula.conversion.lxclimits import amount, take_memory, whole
from insula.model.domain import DomainDefinition
from insula.model.scalars import UNLIMITED
from insula.model.sizes import CpuSet
from tests.unit.conversion.conversions import converted, keys_of

ROOT = "lxc.rootfs.path = /srv/web\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n"


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("lxc-tools", ROOT + text)
    return found.domain, keys_of(found.findings)


def test_limits_of_the_unified_hierarchy_win_over_those_of_old() -> None:
    domain, findings = _read("lxc.cgroup2.memory.max = 512M\nlxc.cgroup.memory.limit_in_bytes = 1G\n")
    assert (domain.memory, findings) == (512 * 1024, set())


def test_memory_has_its_limits() -> None:
    domain, findings = _read(
        "lxc.cgroup2.memory.swap.max = 256M\nlxc.cgroup2.memory.max = 512M\nlxc.cgroup2.memory.high = 256M\n"
        "lxc.cgroup2.memory.min = 128M\n"
    )
    tune = domain.memory_tune
    assert tune is not None and findings == set()
    assert (tune.swap_hard_limit, tune.soft_limit, tune.min_guarantee) == (768 << 10, 256 << 10, 128 << 10)


def test_memory_without_a_word_of_swap_may_swap_as_it_did() -> None:
    domain, _ = _read("lxc.cgroup2.memory.max = 512M\n")
    assert domain.memory_tune is not None and domain.memory_tune.swap_hard_limit == 9007199254740991


def test_processors_are_counted_by_what_may_be_used() -> None:
    domain, findings = _read(
        "lxc.cgroup2.cpuset.cpus = 0-1,5\nlxc.cgroup2.cpuset.mems = 0\nlxc.cgroup2.cpu.weight = 200\n"
        "lxc.cgroup2.cpu.max = 50000 100000\n"
    )
    assert (domain.vcpu.count, domain.vcpu.cpus) == (3, CpuSet((0, 1, 5)))
    tune = domain.cpu_tune
    assert tune is not None and (tune.shares, tune.quota, tune.period) == (2048, 50000, 100000)
    assert findings == set()


def test_shares_of_old_that_mean_the_same_as_the_weight_are_kept_as_they_are() -> None:
    domain, _ = _read("lxc.cgroup.cpu.shares = 1030\nlxc.cgroup2.cpu.weight = 101\n")
    assert domain.cpu_tune is not None and domain.cpu_tune.shares == 1030


def test_processes_resources_kernel_settings_and_clocks_are_ours() -> None:
    domain, findings = _read(
        "lxc.cgroup2.pids.max = 100\nlxc.prlimit.nofile = 1024:4096\nlxc.limit.core = unlimited\n"
        "lxc.sysctl.net.ipv4.ip_forward = 1\nlxc.time.offset.boot = 1h\nlxc.time.offset.monotonic = -5s\n"
        "lxc.cgroup2.io.weight = 200\n"
    )
    settings = domain.settings
    assert (settings.pids_limit, [each.bounds for each in settings.limits]) == (
        100,
        [(1024, 4096), (UNLIMITED, UNLIMITED)],
    )
    assert settings.kernel_settings[0].name == "net.ipv4.ip_forward"
    clocks = settings.time_namespace
    assert clocks is not None and clocks.boot_time is not None and clocks.monotonic is not None
    assert (clocks.boot_time.seconds, clocks.monotonic.seconds) == (3600, -5)
    assert domain.blkio_tune is not None and domain.blkio_tune.weight == 200
    assert findings == set()


@pytest.mark.parametrize(
    "line",
    [
        "lxc.cgroup2.memory.max = much",
        "lxc.cgroup2.cpu.weight = 0",
        "lxc.cgroup2.cpu.max = x y",
        "lxc.cgroup2.cpuset.cpus = all",
        "lxc.cgroup2.cpuset.mems = all",
        "lxc.cgroup2.devices.allow = c 81:* rwm",
        "lxc.cgroup2.devices.allow = a",
        "lxc.cgroup2.hugetlb.2MB.max = 1",
        "lxc.prlimit.nofile = many",
        "lxc.prlimit.locks = 1",
        "lxc.sysctl.vm.swappiness = 1",
        "lxc.time.offset.boot = soon",
        "lxc.time.offset.boot = 1ms",
        "lxc.cgroup2.io.weight = 5000",
    ],
)
def test_what_cannot_be_is_named(line: str) -> None:
    _, findings = _read(line)
    assert findings == {line.partition(" =")[0]}


def test_rules_for_devices_that_every_guest_has_say_nothing() -> None:
    _, findings = _read(
        "lxc.cgroup.devices.deny = a\nlxc.cgroup.devices.allow = c 1:3 rwm\nlxc.cgroup2.devices.allow = c  *:*  m\n"
    )
    assert findings == set()


def test_readers_are_made_from_what_takes_the_number() -> None:
    assert amount(take_memory) is not amount(take_memory)
    assert callable(whole(lambda draft, number: None, 0, 1))

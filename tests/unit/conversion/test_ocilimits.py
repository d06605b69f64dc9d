from typing import Any

import pytest

from insula.conversion.ocilimits import valued
from insula.model.scalars import UNLIMITED
from insula.model.sizes import CpuSet
from tests.unit.conversion.bundles import bundle
from tests.unit.conversion.conversions import keys_of


def test_resources_are_the_same_limits() -> None:
    found = bundle(
        linux__resources={
            "memory": {"limit": 512 << 20, "reservation": 256 << 20, "swap": 768 << 20},
            "cpu": {"shares": 2048, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"},
            "pids": {"limit": 100},
            "blockIO": {"weight": 500},
            "unified": {"memory.min": "1048576"},
        }
    )
    domain, tune = found.domain, found.domain.memory_tune
    assert tune is not None and domain.cpu_tune is not None and domain.blkio_tune is not None
    assert (domain.memory, tune.soft_limit, tune.swap_hard_limit) == (512 << 10, 256 << 10, 768 << 10)
    assert (tune.min_guarantee, domain.settings.pids_limit, domain.blkio_tune.weight) == (1024, 100, 500)
    assert (domain.cpu_tune.shares, domain.cpu_tune.quota, domain.vcpu.cpus) == (2048, 50000, CpuSet((0, 1)))
    assert found.findings == ()


def test_limits_of_resources_settings_and_clocks_are_ours() -> None:
    found = bundle(
        process__rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 2**64 - 1}],
        linux__sysctl={"net.ipv4.ip_forward": "1"},
        linux__timeOffsets={"monotonic": {"secs": -5}, "boottime": {"secs": 9, "nanosecs": 0}},
    )
    settings = found.domain.settings
    assert settings.limits[0].bounds == (1024, UNLIMITED) and settings.kernel_settings[0].value == "1"
    assert settings.time_namespace is not None and settings.time_namespace.monotonic is not None
    assert settings.time_namespace.monotonic.seconds == -5 and found.findings == ()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("linux__resources__memory__limit", "much"),
        ("linux__resources__cpu__shares", 10**9),
        ("linux__resources__cpu__cpus", "all"),
        ("linux__resources__blockIO__weight", 5),
        ("linux__resources__unified", {"hugetlb.2MB.max": "1"}),
        ("linux__resources__unified", {"memory.max": 1}),
        ("linux__timeOffsets", {"monotonic": {"nanosecs": 5}}),
        ("linux__timeOffsets", [1]),
        ("process__rlimits", [{"type": "RLIMIT_LOCKS", "soft": 1, "hard": 1}]),
        ("process__rlimits", [{"type": "RLIMIT_NOFILE", "soft": -1, "hard": 1}]),
    ],
)
def test_what_cannot_be_is_named(place: str, value: Any) -> None:
    found = keys_of(bundle(**{place: value}).findings)
    assert any(each.startswith(place.replace("__", ".")) for each in found), found


def test_a_kernel_setting_of_the_whole_host_is_named() -> None:
    assert bundle(linux__sysctl={"vm.swappiness": "1"}).findings
    assert bundle(linux__sysctl=[]).findings
    assert callable(valued(lambda draft, value: None))

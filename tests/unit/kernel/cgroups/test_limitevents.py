"""How often limits were met, in both hierarchies' words."""

from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy, limitevents

ALL = ("cpu", "hugetlb", "memory", "misc")


def group(tmp_path: Path, *, old: bool, **texts: str) -> Cgroup:
    (tmp_path / "g").mkdir()
    for name, text in texts.items():
        (tmp_path / "g" / name.replace("__", ".")).write_text(text)
    v1 = (V1Hierarchy(mount=str(tmp_path), controllers=ALL),) if old else ()
    return Cgroup(Hierarchies(v1=v1, v2=None if old else str(tmp_path), v2_controllers=() if old else ALL), "g")


def test_v2_counts_by_name(tmp_path: Path) -> None:
    made = group(
        tmp_path,
        old=False,
        memory__events="low 0\nhigh 2\nmax 3\noom 1\noom_kill 1\n",
        memory__swap__events="high 0\nmax 4\nfail 5\n",
        memory__swap__max="0",
        memory__zswap__current="8192",
        cpu__stat="usage_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec 700\nnr_bursts 2\nburst_usec 50\n",
        hugetlb__2MB__current="4194304",
        hugetlb__2MB__events="max 6\n",
        misc__current="sev 2\n",
        misc__events="sev.max 7\n",
        cgroup__stat="nr_descendants 3\nnr_dying_descendants 1\n",
        cgroup__max__descendants="2048",
    )
    assert limitevents.memory_events(made) == {"low": 0, "high": 2, "max": 3, "oom": 1, "oom_kill": 1}
    assert limitevents.swap_events(made) == {"high": 0, "max": 4, "fail": 5}
    quota, burst = limitevents.cpu_events(made)
    assert quota == {"periods": 10, "throttled": 4, "throttled_usec": 700}
    assert burst == {"bursts": 2, "burst_usec": 50}
    assert limitevents.huge_page_use(made, 2 << 20) == (4 << 20, {"max": 6})
    assert limitevents.huge_page_use(made, 1 << 30) == (None, {})
    assert limitevents.misc_use(made) == ({"sev": 2}, {"sev.max": 7})
    assert limitevents.zswap_use(made) == 8192
    assert limitevents.groups_below(made) == (3, 2048)
    assert limitevents.accounts_swap(made)


def test_v1_counts_what_it_has(tmp_path: Path) -> None:
    made = group(
        tmp_path,
        old=True,
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        memory__failcnt="30",
        memory__memsw__failcnt="4",
        memory__memsw__limit_in_bytes="4096",
        cpu__stat="nr_periods 10\nnr_throttled 4\nthrottled_time 700000\nnr_bursts 2\nburst_time 50000\n",
        hugetlb__2MB__usage_in_bytes="0",
        hugetlb__2MB__failcnt="1",
    )
    assert limitevents.memory_events(made) == {"max": 30, "oom_kill": 2}
    assert limitevents.swap_events(made) == {"max": 4}
    assert limitevents.accounts_swap(made)
    assert limitevents.cpu_events(made)[1] == {"bursts": 2, "burst_usec": 50}
    assert limitevents.huge_page_use(made, 2 << 20) == (0, {"max": 1})
    assert limitevents.zswap_use(made) is None
    assert limitevents.groups_below(made) == (None, None)


@pytest.mark.parametrize("controllers", [()])
def test_a_host_without_controllers_counts_nothing(tmp_path: Path, controllers: tuple[str, ...]) -> None:
    bare = Cgroup(Hierarchies(v2=str(tmp_path), v2_controllers=controllers), "g")
    assert limitevents.memory_events(bare) == limitevents.swap_events(bare) == {}
    assert limitevents.cpu_events(bare) == ({}, {})
    assert limitevents.huge_page_use(bare, 2 << 20) == (None, {})
    assert limitevents.misc_use(bare) == ({}, {})
    assert limitevents.zswap_use(bare) is None

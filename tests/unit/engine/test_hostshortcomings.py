"""A host that lacks something is told so at once, not at the first start that meets it."""

from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.facts import Facts
from insula.engine.hostcheck import Gravity
from insula.engine.hostshortcomings import covering, demand_groups, detected, kernel_checks, shortcomings
from insula.errors import ConfigurationError
from insula.kernel.cgroups import Hierarchies
from tests.plans import UNIFIED

WHOLE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
24 22 0:40 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw
23 27 0:22 / /sys rw,relatime shared:2 - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
42 23 0:13 / /sys/kernel/tracing rw - tracefs none rw
"""
MASKED = WHOLE + "50 22 0:50 /null /proc/kcore rw - tmpfs tmpfs rw\n51 23 0:51 / /sys/firmware ro - tmpfs tmpfs ro\n"


def test_without_control_groups_nothing_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no control groups are in view"):
        demand_groups(Hierarchies())
    with pytest.raises(ConfigurationError, match=f"at {tmp_path} are covered by another mount"):
        demand_groups(Hierarchies(v2=str(tmp_path)))
    (tmp_path / "cgroup.procs").touch()
    demand_groups(Hierarchies(v2=str(tmp_path)))


def test_what_cannot_be_looked_at_is_named_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def detect() -> Facts:
        raise FileNotFoundError(2, "No such file or directory", "/sys/fs/cgroup/unified/cgroup.controllers")

    monkeypatch.setattr(Facts, "detect", detect)
    with pytest.raises(ConfigurationError, match=r"unified/cgroup\.controllers: No such file .* mounted over it"):
        detected()


def test_a_whole_host_has_none() -> None:
    facts = replace(UNIFIED, hierarchies=replace(UNIFIED.hierarchies, v2_controllers=("cpu", "memory", "pids")))
    assert list(shortcomings(facts, WHOLE)) == []
    checks = list(kernel_checks(facts, WHOLE))
    assert {each.gravity for each in checks} == {Gravity.OK} and len({each.id for each in checks}) == 6


def test_each_is_told_with_what_follows_from_it() -> None:
    facts = replace(UNIFIED, user_namespaces=False, hierarchies=Hierarchies(v2="/x", v2_controllers=("cpu", "memory")))
    told = [str(each) for each in shortcomings(facts, MASKED)]
    assert [each.split(":")[0].split(" (")[0] for each in told] == [
        "no user namespace can be made here",
        "there is no controller 'pids' in view",
        "parts of /proc are covered",
        "parts of /sys are covered",
    ]
    assert "/proc/kcore" in told[2] and "/sys/firmware" in told[3]


def test_what_is_whole_somewhere_is_enough() -> None:
    assert covering(MASKED, "proc") == ["/proc/kcore"]
    assert covering(MASKED + "60 27 0:21 / /mnt/proc rw - proc proc rw\n", "proc") == []
    assert covering("", "proc") == []

"""Every limit of a domain in one list."""

import pytest

from insula.service.limitoverview import LimitRow, limit_rows
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import running

pytestmark = pytest.mark.asyncio

MORE = (
    "<cputune><shares>512</shares></cputune><metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'>"
    "<i:pids limit='99'/><i:cpu burst='20000'/><i:hugepages size='2048' limit='4096'/>"
    "<i:misc resource='sev' limit='3'/>"
    "<i:cgroup key='memory.oom.group' value='1'/><i:rlimit name='nofile' soft='64' hard='unlimited'/>"
    "<i:sysctl name='user.max_inotify_watches' value='100'/></i:domain></metadata>"
)


def by_name(rows: list[LimitRow]) -> dict[str, LimitRow]:
    found = {each.name: each for each in rows}
    assert len(found) == len(rows)
    return found


async def test_of_a_domain_that_is_off_what_is_configured_is_told(rig: Rig) -> None:
    rows = by_name(limit_rows(rig.domains.of(await rig.domains.define(domain_xml(more=MORE)))))
    assert (rows["memory"].configured, rows["memory"].unit, rows["memory"].in_force) == (64 << 20, "bytes", None)
    assert rows["cpu_shares"].configured == 512
    assert rows["hugepages 2MB"].configured == 4 << 20
    assert rows["misc sev"].configured == 3
    assert rows["cgroup memory.oom.group"].configured == "1"
    assert rows["rlimit nofile"].configured == "64:unlimited"
    assert rows["sysctl user.max_inotify_watches"].configured == "100"
    assert rows["zswap"].configured is None


async def test_no_quota_as_libvirt_says_it_is_none(rig: Rig) -> None:
    more = "<cputune><quota>-1</quota></cputune>"
    assert by_name(limit_rows(rig.domains.of(await running(rig, more))))["cpu_quota"].configured is None


async def test_of_one_that_runs_what_is_in_force_and_used_too(rig: Rig) -> None:
    rows = by_name(limit_rows(rig.domains.of(await running(rig, MORE))))
    assert (rows["pids"].configured, rows["pids"].used, rows["pids"].events) == (99, 3, {"max": 0})
    assert rows["memory"].used == 20 << 20
    assert (rows["cpu_burst"].configured, rows["cpu_burst"].unit) == (20000, "microseconds")
    assert rows["cpu_burst"].lacking == "this host has no cpu controller for control groups"
    assert set(rows["memory"].described()) == {
        "name",
        "unit",
        "configured",
        "in_force",
        "used",
        "events",
        "pressure",
        "lacking",
    }

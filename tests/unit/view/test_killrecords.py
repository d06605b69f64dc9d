"""Whom the kernel killed in which guest, told in the guest's words and to nobody else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.view.killrecords import HostRecord, KillRecords, ToldKill, host_record
from insula.view.viewedfiles import ViewedIds
from tests.examples import FEW, examples
from tests.unit.view.test_viewedfiles import GUEST

WEB = replace(GUEST, launch="web", group="machine.slice/web.scope")
MAIL = replace(
    GUEST, launch="mail", group="machine.slice/mail.scope", uids=(ViewedIds(inside=0, outside=3_000_000, count=65536),)
)
BARE = replace(GUEST, launch="bare", group="machine.slice/bare.scope", uids=(), gids=())
GUESTS = (WEB, MAIL, BARE)


def chosen(group: str, uid: int, *, limited: str | None = None, task: str = "python3", pid: int = 5555) -> HostRecord:
    whose = f"oom_memcg={limited or group}"
    return HostRecord(
        9,
        6,
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=payload,mems_allowed=0,{whose},"
        f"task_memcg={group},task={task},pid={pid},uid={uid}",
    )


def killed(uid: int, pid: int = 5555, name: str = "python3") -> HostRecord:
    return HostRecord(
        10,
        3,
        f"Memory cgroup out of memory: Killed process {pid} ({name}) total-vm:100kB, anon-rss:50kB, file-rss:0kB, "
        f"shmem-rss:0kB, UID:{uid} pgtables:200kB oom_score_adj:0",
    )


REAPED = HostRecord(11, 6, "oom_reaper: reaped process 5555 (python3), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB")


def records(inner: int = 77) -> KillRecords:
    return KillRecords(lambda pid: inner)


def test_the_three_records_of_a_kill_are_told_with_the_guests_numbers() -> None:
    taking = records()
    told = [
        taking.take(each, GUESTS)
        for each in (
            chosen("/machine.slice/web.scope/payload/system.slice/a.service", 1_000_033),
            killed(1_000_033),
            REAPED,
        )
    ]
    assert told == [
        ToldKill(
            "web",
            9,
            6,
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
            "oom_memcg=/system.slice/a.service,task_memcg=/system.slice/a.service,task=python3,pid=77,uid=33",
        ),
        ToldKill(
            "web",
            10,
            3,
            "Memory cgroup out of memory: Killed process 77 (python3) total-vm:100kB, anon-rss:50kB, file-rss:0kB, "
            "shmem-rss:0kB, UID:33 pgtables:200kB oom_score_adj:0",
        ),
        ToldKill(
            "web", 11, 6, "oom_reaper: reaped process 77 (python3), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"
        ),
    ]


def test_the_limit_above_what_the_guest_sees_is_its_root() -> None:
    told = records().take(
        chosen("/machine.slice/web.scope/payload/x", 1_000_000, limited="/machine.slice/web.scope"), GUESTS
    )
    assert told is not None
    assert "oom_memcg=/,task_memcg=/x," in told.text


def test_a_kill_for_want_of_the_hosts_memory_is_told() -> None:
    record = HostRecord(
        1,
        6,
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0-1,global_oom,"
        "task_memcg=/machine.slice/web.scope/payload,task=a,pid=1,uid=1000000",
    )
    told = records().take(record, GUESTS)
    assert told is not None
    assert "mems_allowed=0-1,global_oom,task_memcg=/,task=a,pid=77,uid=0" in told.text


def test_a_privileged_guest_is_known_by_its_group() -> None:
    taking = records()
    first = taking.take(chosen("/machine.slice/bare.scope/payload/x", 0), GUESTS)
    second = taking.take(killed(0), GUESTS)
    assert first is not None
    assert second is not None
    assert (first.launch, second.launch) == ("bare", "bare")
    assert "UID:0 " in second.text


@pytest.mark.parametrize(
    "record",
    [
        chosen("/user.slice/session", 0),
        killed(0),
        killed(1000),
        REAPED,
        HostRecord(1, 6, "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"),
        HostRecord(1, 6, "device vnet0 entered promiscuous mode"),
        HostRecord(1, 6, "a.out[5555]: segfault at 0 ip 0 sp 0 error 4 in a.out"),
    ],
)
def test_what_is_of_no_guest_is_told_to_none(record: HostRecord) -> None:
    assert records().take(record, GUESTS) is None


def test_a_guest_cannot_speak_in_anothers_name_by_names_of_groups_or_programs() -> None:
    group = (
        "/machine.slice/web.scope/payload/x,oom_memcg=/machine.slice/bare.scope,task_memcg=/machine.slice/bare.scope"
    )
    for record in (chosen(group, 1_000_000), chosen("/machine.slice/web.scope/payload", 1_000_000, task="a,uid=0")):
        told = records().take(record, GUESTS)
        assert told is not None
        assert told.launch == "web"


def test_a_privileged_guest_cannot_speak_in_anothers_name_by_taking_its_users() -> None:
    taking = records()
    assert taking.take(chosen("/machine.slice/bare.scope/payload", 1_000_000), GUESTS) is None
    first = taking.take(chosen("/machine.slice/bare.scope/payload", 0), GUESTS)
    assert first is not None and first.launch == "bare"
    assert taking.take(killed(1_000_000), GUESTS) is None


def test_a_process_that_is_gone_has_no_number() -> None:
    told = records(inner=0).take(killed(3_000_005), GUESTS)
    assert told is not None
    assert (told.launch, "Killed process 0 (python3)" in told.text) == ("mail", True)


def test_a_record_of_the_kernels_is_read_and_unescaped() -> None:
    assert host_record(b"6,12,99,-;a\\x5cx2db\n SUBSYSTEM=x\n") == HostRecord(12, 6, "a\\x2db")


@pytest.mark.parametrize("data", [b"12,5,9,-;a program's\n", b"", b"x", b"6;\n", b"-1,2,3,-;y"])
def test_what_programs_wrote_and_what_is_no_record_are_passed_over(data: bytes) -> None:
    assert host_record(data) is None


WORDS = st.sampled_from(
    [
        ",oom_memcg=",
        ",task_memcg=",
        ",task=",
        ",pid=1",
        ",uid=0",
        ",uid=3000000",
        "/machine.slice/bare.scope",
        "/machine.slice/mail.scope/payload",
        "global_oom",
        " UID:0 ",
        "x",
        ")",
        "Killed process 1 (a) total-vm:",
        "oom-kill:constraint=A,nodemask=,cpuset=/,mems_allowed=0,",
    ]
)
CHOSEN_NAMES = st.lists(WORDS | st.text(max_size=4), max_size=8).map("".join)


@settings(max_examples=examples(FEW))
@given(CHOSEN_NAMES, CHOSEN_NAMES)
def test_whatever_a_guest_names_its_groups_and_programs_no_other_is_told(group: str, task: str) -> None:
    names = group.replace("\n", ""), task.replace("\n", "")
    record = chosen(f"/machine.slice/web.scope/payload/{names[0]}", 1_000_007, task=names[1])
    for each in (record, killed(1_000_007, name=names[1])):
        told = records().take(each, GUESTS)
        assert told is None or told.launch == "web"


@settings(max_examples=examples(FEW))
@given(CHOSEN_NAMES, st.binary(max_size=60))
def test_no_record_is_too_odd(text: str, data: bytes) -> None:
    records().take(HostRecord(1, 6, text), GUESTS)
    host_record(data)
    host_record(b"6,1,2,-;" + data)

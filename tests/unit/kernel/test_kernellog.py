"""The kernel's log: what the kernel itself says, and whom it killed for want of memory."""

import os
from pathlib import Path

import pytest

from insula.kernel.kernellog import KernelLog, OomVictim, oom_victims

GROUP = r"/machine.slice/machine-lxc\x2d1\x2dweb.scope"
ESCAPED = GROUP.replace("\\", r"\x5c")


def kill(pid: int, name: str, uid: int = 1000) -> str:
    return (
        f"Memory cgroup out of memory: Killed process {pid} ({name}) total-vm:79396kB, anon-rss:26240kB, "
        f"file-rss:5184kB, shmem-rss:0kB, UID:{uid} pgtables:120kB oom_score_adj:0"
    )


def choice(pid: int, name: str, group: str = ESCAPED) -> str:
    return (
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg={group},"
        f"task_memcg={group},task={name},pid={pid},uid=1000"
    )


def test_who_was_killed_is_told_with_its_group() -> None:
    texts = ["dd invoked oom-killer: gfp_mask=0xcc0", choice(7, "dd"), kill(7, "dd")]
    assert oom_victims(texts) == [OomVictim(pid=7, name="dd", uid=1000, group=GROUP)]


def test_without_its_group_where_the_kernel_leaves_that_out() -> None:
    assert oom_victims([kill(7, "dd"), kill(8, "sh", 0)]) == [
        OomVictim(pid=7, name="dd", uid=1000),
        OomVictim(pid=8, name="sh", uid=0),
    ]


@pytest.mark.parametrize("name", ["a,task=b,pid=9", "x) total-vm:1 (", "a,task_memcg=/", "a b"])
def test_a_name_that_looks_like_the_line_around_it_says_nothing_about_another(name: str) -> None:
    assert oom_victims([choice(7, name), kill(7, name)]) == [OomVictim(pid=7, name=name, uid=1000, group=GROUP)]


OTHER = r"/machine.slice/machine-lxc\x5cx2d2\x5cx2dmail.scope"


@pytest.mark.parametrize(
    "name",
    [
        f"x,task_memcg={OTHER}",
        f"x,oom_memcg={OTHER},task_memcg={OTHER}",
        f"x,task=a,pid=7,uid=1/y,task_memcg={OTHER}",
        f"a b/task_memcg={OTHER}",
        ",task_memcg=/",
    ],
)
@pytest.mark.parametrize("limited", [ESCAPED, "/machine.slice", "", None])
def test_a_group_that_looks_like_the_line_around_it_is_told_to_be_where_it_is(name: str, limited: str | None) -> None:
    inside = f"{ESCAPED}/payload/{name}"
    whose = "global_oom" if limited == "" else f"oom_memcg={inside if limited is None else limited}"
    text = (
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,oom_memcg=,mems_allowed=0,{whose},"
        f"task_memcg={inside},task=dd,pid=7,uid=1000"
    )
    (victim,) = oom_victims([text, kill(7, "dd")])
    assert victim.group is not None and victim.group.startswith(f"{GROUP}/payload/")


def test_a_kill_for_want_of_the_hosts_memory_is_told_with_its_group() -> None:
    text = choice(7, "dd").replace(f"oom_memcg={ESCAPED}", "global_oom")
    assert oom_victims([text, kill(7, "dd")]) == [OomVictim(pid=7, name="dd", uid=1000, group=GROUP)]


def test_only_what_the_kernel_has_said_since_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gives its records one by one, as the device does."""
    path = tmp_path / "kmsg"
    path.touch()
    log = KernelLog(str(path))
    records: list[bytes | OSError] = [
        b"6,1,2,-;one\n SUBSYSTEM=x\n",
        b"12,2,3,-;a program's\n",
        BrokenPipeError(),
        b"3,4,5,c;two\n",
        BlockingIOError(),
    ]

    def read(fd: int, size: int) -> bytes:
        record = records.pop(0)
        if isinstance(record, OSError):
            raise record
        return record

    monkeypatch.setattr(os, "read", read)
    assert log.take() == ["one", "two"]
    log.close()

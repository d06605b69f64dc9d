"""Tests of insula.engine.fragments.memorysizes."""

from dataclasses import replace

import pytest

from insula.engine.fragments.memorysizes import RUNTIME, SHARED_MEMORY, TEMPORARY, MemorySizes, Share, memory_sizes
from insula.engine.program.late import Late
from insula.engine.spec import Bytes, Limits, TmpfsRoot
from tests.unit.engine.fragments.example import FACTS, SPEC

IN_MEMORY = replace(SPEC, root=TmpfsRoot(lower=("/a",)))


def sizes(limit: int | None, *, root: bool = False) -> MemorySizes:
    spec = IN_MEMORY if root else SPEC
    return memory_sizes(replace(spec, limits=Limits(memory=None if limit is None else Bytes(limit))), FACTS)


def given(made: MemorySizes, share: Share) -> dict[str, str]:
    return {str(key): str(value) for key, value in made.options(share)}


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("limit", [64 << 20, 256 << 20, 1 << 30, 1 << 36])
def test_what_every_user_may_fill_leaves_memory_to_the_programs(limit: int, root: bool) -> None:
    made = sizes(limit, root=root)
    options = [given(made, share) for share in (SHARED_MEMORY, TEMPORARY)]
    assert made.user is not None
    size, files = made.user
    size += sum(int(each["size"]) for each in options) + ((made.default or 0) if root else 0)
    files += sum(int(each["nr_inodes"]) for each in options) + ((made.root_inodes or 0) if root else 0)
    assert size <= limit * 90 // 100
    # Full of empty files instead: a kilobyte each.
    assert files * 1024 <= limit * 25 // 100


def test_without_a_limit_sizes_are_what_the_guests_system_would_choose() -> None:
    made = sizes(None)
    assert made.options(SHARED_MEMORY) == []
    assert made.options(TEMPORARY) == [["size", "50%"], ["nr_inodes", "1m"]]
    assert made.options(RUNTIME) == [["size", "20%"], ["nr_inodes", "800k"]]
    assert (made.default, made.root_inodes, made.user) == (None, None, None)


def test_a_limit_above_what_the_host_has_is_none() -> None:
    facts = replace(FACTS, memory=1 << 30)
    assert memory_sizes(replace(SPEC, limits=Limits(memory=Bytes(1 << 31))), facts).limit is None
    assert memory_sizes(replace(SPEC, limits=Limits(memory=Bytes(1 << 29))), facts).limit == 1 << 29


def test_guests_of_different_limits_share_a_program() -> None:
    assert all(isinstance(value, Late) for _, value in sizes(1 << 30).options(RUNTIME))


def test_a_large_guest_has_no_more_inodes_than_systemd_would_give_it() -> None:
    assert given(sizes(1 << 40), TEMPORARY)["nr_inodes"] == str(1 << 20)
    assert given(sizes(1 << 40), RUNTIME)["nr_inodes"] == str(800 << 10)

"""Ids are claimed for guests where nobody else has them, and given up again."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.storage.idclaim import add, claimable, remove
from insula.storage.idpools import DEFAULT_POOLS, OWNER, SIZE, pools


def files(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (directory / name).write_text(text)
    return directory


class Usermod:
    """Stands for usermod(8): writes as it does."""

    def __init__(self, etc: Path) -> None:
        self.etc = etc
        self.calls: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> None:
        self.calls.append(list(command))
        program, users, ids, groups, same, owner = command
        assert (program, same, owner) == ("usermod", ids, OWNER)
        assert {users[:6], groups[:6]} in ({"--add-"}, {"--del-"})
        first, last = map(int, ids.split("-"))
        line = f"{owner}:{first}:{last - first + 1}\n"
        for file in (self.etc / "subuid", self.etc / "subgid"):
            text = file.read_text() if file.exists() else ""
            file.write_text(text + line if users == "--add-subuids" else text.replace(line, ""))


def test_on_a_host_without_any_the_usual_pools_are_claimed(tmp_path: Path) -> None:
    assert add(tmp_path, Usermod(tmp_path)) == list(DEFAULT_POOLS)
    assert pools(tmp_path / "subuid", tmp_path / "subgid") == DEFAULT_POOLS


def test_what_an_administrator_has_written_stays_as_it_is(tmp_path: Path) -> None:
    etc = files(tmp_path, subuid="insula:1000000000:100000000\n", subgid="")
    usermod = Usermod(etc)
    assert add(etc, usermod) == []
    remove(etc, usermod)
    assert usermod.calls == []


def test_what_is_anothers_is_left_out_whether_by_subuid_subgid_or_as_an_account(tmp_path: Path) -> None:
    first = DEFAULT_POOLS[0]
    etc = files(
        tmp_path,
        subuid=f"alice:{first.start}:{SIZE}\n",
        subgid=f"bob:{first.start + 2 * SIZE}:1\n",
        passwd=f"carol:x:{first.start + 4 * SIZE + 7}:100::/:/bin/sh\n",
    )
    claimed = claimable(etc)
    assert range(first.start + SIZE, first.start + 2 * SIZE) in claimed
    for offset in (0, 2, 4):
        assert not any(first.start + offset * SIZE in each for each in claimed)
    assert sum(map(len, claimed)) == sum(map(len, DEFAULT_POOLS)) - 3 * SIZE


def test_what_was_added_is_removed_and_others_stay(tmp_path: Path) -> None:
    etc = files(tmp_path, subuid="alice:100000:65536\n", subgid="alice:100000:65536\n")
    usermod = Usermod(etc)
    add(etc, usermod)
    remove(etc, usermod)
    assert (etc / "subuid").read_text() == (etc / "subgid").read_text() == "alice:100000:65536\n"


@settings(max_examples=40, deadline=None)
@given(
    others=st.lists(
        st.tuples(st.integers(DEFAULT_POOLS[1].start - SIZE, DEFAULT_POOLS[0].stop), st.integers(0, 20_000_000)),
        max_size=6,
    )
)
def test_nothing_that_is_claimed_is_anothers(
    others: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = "".join(f"other:{start}:{count}\n" for start, count in others)
    claimed = claimable(files(tmp_path_factory.mktemp("etc"), subuid=lines))
    for each in claimed:
        assert each.start % SIZE == each.stop % SIZE == 0
        assert not any(each.start < start + count and start < each.stop for start, count in others if count)

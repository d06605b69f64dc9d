"""Which directories that guests write are open to users of the host."""

import os
from pathlib import Path

import pytest

from insula.model.domain import DomainDefinition
from insula.service.exposure import exposed, is_exposed, written_directories


def domain(*filesystems: str) -> DomainDefinition:
    return DomainDefinition.load(
        "<domain type='lxc'><name>web</name><memory>65536</memory><os><type>exe</type><init>/sbin/init</init></os>"
        f"<devices>{''.join(filesystems)}</devices></domain>"
    )


def filesystem(source: str, target: str, more: str = "", kind: str = "mount", mark: str = "") -> str:
    return f"<filesystem type='{kind}' {mark}><source {source}/><target dir='{target}'/>{more}</filesystem>"


def test_what_a_guest_writes_under_its_own_owners_is_looked_at_and_nothing_else() -> None:
    told = domain(
        filesystem("dir='/srv/root'", "/"),
        filesystem("dir='/srv/shared'", "/shared"),
        filesystem("dir='/srv/read'", "/read", "<readonly/>"),
        filesystem("dir='/etc'", "/again", kind="bind"),
        filesystem("file='/srv/disk'", "/disk", kind="file"),
        filesystem(
            "dir='/srv/nfs'", "/nfs", mark="xmlns:insula='https://insula.dev/xmlns/domain/1' insula:idmap='off'"
        ),
    )
    assert written_directories(told) == ("/srv/root", "/srv/shared")


@pytest.fixture
def open_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory that everybody may go into, all the way, as far as is told."""
    place = tmp_path / "guests/web"
    place.mkdir(parents=True)
    parents = set(tmp_path.parents) | {tmp_path}
    real = Path.stat

    def stat(path: Path, **words: bool) -> os.stat_result:
        told = real(path, **words)
        return os.stat_result((told.st_mode | 0o001, *told[1:])) if path in parents else told

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((0,) * 10))
    place.parent.chmod(0o755)
    place.chmod(0o755)
    return place


def test_a_directory_that_everybody_may_go_into_is_exposed(open_place: Path) -> None:
    assert is_exposed(str(open_place))
    assert exposed([("web", ("/nowhere", str(open_place))), ("mail", ())]) == ["web"]


def test_one_closed_parent_is_enough(open_place: Path) -> None:
    open_place.parent.chmod(0o700)
    assert not is_exposed(str(open_place))


def test_where_nothing_is_setuid_nothing_is_exposed(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((0,) * 8 + (os.ST_NOSUID, 0)))
    assert not is_exposed(str(open_place))


def test_a_link_is_judged_by_where_it_leads(open_place: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(open_place)
    assert is_exposed(str(link))
    open_place.chmod(0o700)
    assert not is_exposed(str(link))


def test_what_is_not_there_is_not_exposed() -> None:
    assert not is_exposed("/no/such/directory")


def test_a_tree_of_shifted_owners_is_not_exposed(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.stat

    def shifted(path: Path, **words: bool) -> os.stat_result:
        told = real(path, **words)
        return os.stat_result((*told[:4], 300000, *told[5:])) if path == open_place else told

    monkeypatch.setattr(Path, "stat", shifted)
    assert not is_exposed(str(open_place))

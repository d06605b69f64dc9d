"""Files and directories of the host whose mounts in guests are renewed, once others have their names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Access, BindMount, Container, Engine, TmpfsMount
from insula.engine.keeper.link import completed
from insula.engine.launch.guestviews import mounts_at
from insula.engine.launch.holdings import FormerMount, GuestMount, RenewedMount
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.errors import OperationInvalidError, StepError

pytestmark = [
    pytest.mark.requires("userns", "busybox", "overlay.idmapped", "mounts.beneath"),
    pytest.mark.machine("mounts"),
]

IDLE = ("/bin/sleep", "100000")
FILE, TREE = "/etc/word", "/srv/tree"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.fixture
def source(scratch: Path) -> Path:
    """A file `word` and a directory `tree` of the host."""
    made = scratch / "source"
    made.mkdir()
    put(made, "old")
    return made


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guest(request: pytest.FixtureRequest, busybox_root: Path, engine: Engine, source: Path) -> Iterator[Container]:
    """A guest that is shown both from its start."""
    privileged, views = bool(request.param), views_of(source)
    with Container(busybox_root, init=IDLE, ephemeral=True, privileged=privileged, mounts=views, engine=engine) as made:
        yield made


def views_of(source: Path) -> tuple[BindMount, ...]:
    return (
        BindMount(source=str(source / "word"), target=FILE, access=Access.READ_ONLY),
        BindMount(source=str(source / "tree"), target=TREE),
    )


def put(source: Path, word: str) -> None:
    """Give both names to others."""
    (source / "made").write_text(word)
    (source / "made").rename(source / "word")
    if (source / "tree").exists():
        (source / "tree").rename(source / f"before {word}")
    (source / "tree").mkdir()
    (source / "tree/word").write_text(word)


def words(guest: Container) -> list[str]:
    return guest.run(["sh", "-c", f"cat {FILE}; echo; cat {TREE}/word"], check=True).stdout.decode().split()


def stacks(guest: Container) -> list[int]:
    return [len(mounts_at(guest.pid, target)) for target in (FILE, TREE)]


def test_what_has_the_name_now_is_shown_and_nothing_else_changes(guest: Container, source: Path) -> None:
    recorded = guest._life.alive().record
    for word in ("new", "newer", "newest"):
        before = words(guest)
        put(source, word)
        assert words(guest) == before
        for target in (FILE, TREE):
            guest.renew_mount(target)
        assert words(guest) == [word, word]
        assert stacks(guest) == [1, 1], "nothing piles up"
        assert guest._life.alive().record == recorded
    assert guest.run(["sh", "-c", f"echo x > {FILE}"]).returncode != 0, "read-only as before"
    if guest.spec.idmap is not None:
        assert guest.run(["mount", "-o", "remount,bind,rw", FILE]).returncode != 0, "whatever the guest does"
    guest.run(["sh", "-c", f"echo back > {TREE}/answer"], check=True)
    assert (source / "tree/answer").read_text() == "back\n"


def test_what_was_attached_while_it_ran_is_renewed_and_taken_off_whole(
    busybox_root: Path, engine: Engine, source: Path
) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
        for view in views_of(source):
            guest.attach_mount(view)
        put(source, "new")
        for target in (FILE, TREE):
            guest.renew_mount(target)
        assert (words(guest), stacks(guest)) == (["new", "new"], [1, 1])
        assert all(isinstance(each, GuestMount) for each in guest._life.alive().record.holdings[-2:])
        for target in (FILE, TREE):
            guest.detach_mount(target)
        assert stacks(guest) == [0, 0]
        with pytest.raises(OperationInvalidError, match="nothing of the host's is shown at /etc/word"):
            guest.renew_mount(FILE)


def test_what_the_guest_has_mounted_above_or_taken_off_is_its_own(
    busybox_root: Path, engine: Engine, source: Path
) -> None:
    memory = TmpfsMount(target="/srv/memory")
    with Container(busybox_root, init=IDLE, ephemeral=True, mounts=[*views_of(source), memory], engine=engine) as guest:
        put(source, "new")
        guest.run(["sh", "-c", f"umount {FILE}; mount -t tmpfs none {TREE} && echo own > {TREE}/word"], check=True)
        for target, reason in (
            (FILE, "the guest has taken it off"),
            (TREE, "several mounts are at /srv/tree"),
            ("/srv/memory", "nothing of the host's is shown at"),
        ):
            with pytest.raises(OperationInvalidError, match=reason):
                guest.renew_mount(target)
        assert guest.run(["cat", f"{TREE}/word"]).stdout == b"own\n"


def test_a_source_that_is_gone_leaves_what_is_shown(guest: Container, source: Path) -> None:
    recorded = guest._life.alive().record
    (source / "word").unlink()
    with pytest.raises(StepError, match="No such file or directory"):
        guest.renew_mount(FILE)
    assert (words(guest), stacks(guest)) == (["old", "old"], [1, 1])
    assert guest._life.alive().record == recorded
    guest.freeze()
    with pytest.raises(OperationInvalidError, match="is paused: resume it first"):
        guest.renew_mount(TREE)
    guest.thaw()


@pytest.mark.parametrize("target", [FILE, TREE])
@pytest.mark.parametrize(("writes", "shown"), [(1, "old"), (2, "new")])
def test_a_renewal_that_a_daemon_did_not_live_to_finish_is_taken_back_or_finished_by_the_next(
    guest: Container, source: Path, target: str, writes: int, shown: str
) -> None:
    """writes: how many times the record is written before the daemon dies. Nothing is taken back until the next one."""
    running, engine = guest._life.alive(), guest._life.engine()
    recorded, written = running.record, list[ContainerRecord]()
    put(source, "new")

    def write(record: ContainerRecord) -> None:
        if len(written) == writes:
            raise KeyboardInterrupt
        written.append(record)

    with pytest.MonkeyPatch.context() as patched:
        if writes == 1:
            patched.setattr(Release, "walk", _nothing)
        with pytest.raises(KeyboardInterrupt):
            completed(engine.launcher.views.renew(running, target, write))
    left = {RenewedMount, FormerMount} & {type(each) for each in written[-1].holdings}
    assert left == ({RenewedMount} if shown == "old" else {FormerMount})
    running.record = ContainerRecord.decode(written[-1].encode())
    if (shown, target) == ("old", FILE):
        with pytest.raises(StepError, match="the file shown has lost its name"):
            completed(engine.launcher.changes.settle(running))
        assert words(guest) == ["old", "old"]
        put(source, "newest")
        guest.renew_mount(target)
        assert words(guest) == ["newest", "old"]
    else:
        for _ in range(2):
            completed(engine.launcher.changes.settle(running))
        assert guest.run(["sh", "-c", f"cat {target} || cat {target}/word"]).stdout.decode() == shown
    assert (stacks(guest), running.record) == ([1, 1], recorded)


async def _nothing(*_: object, **__: object) -> list[OSError]:
    return []

from pathlib import Path

import pytest

import insula
from insula import Container, DirectoryRoot, IdMap, IdRange, Limits, TmpfsRoot
from insula.engine.spec import Bytes
from insula.errors import InvalidArgumentError, OperationInvalidError

IDS = IdMap(
    uids=(IdRange(inside=0, outside=1_000_000, count=65536),), gids=(IdRange(inside=0, outside=1_000_000, count=65536),)
)


def test_a_directory_is_the_root_itself_or_the_ground_below_an_ephemeral_one() -> None:
    assert Container("/srv/web").spec.root == DirectoryRoot(path="/srv/web")
    assert Container(Path("/srv/web"), ephemeral=True).spec.root == TmpfsRoot(lower=("/srv/web",))
    layered = TmpfsRoot(lower=("/a", "/b"), size=Bytes(1 << 20))
    assert Container(layered).spec.root is layered


def test_only_a_directory_can_be_made_ephemeral() -> None:
    with pytest.raises(InvalidArgumentError, match="goes with a directory"):
        Container(DirectoryRoot(path="/srv/web"), ephemeral=True)


def test_a_container_is_unprivileged_unless_it_says_otherwise() -> None:
    assert not Container("/srv/web").spec.privileged
    assert Container("/srv/web", privileged=True).spec.privileged
    with pytest.raises(InvalidArgumentError, match="one of the two"):
        Container("/srv/web", privileged=True, ids=IDS)


def test_every_container_has_a_name_and_a_uuid_of_its_own() -> None:
    first, second = Container("/srv/web"), Container("/srv/web", name="web")
    assert first.uuid != second.uuid
    assert first.name == f"insula-{first.uuid[:8]}"
    assert second.name == "web"


def test_short_words_for_limits_win_over_the_long_form() -> None:
    limits = Container("/srv/web", memory=1 << 20, pids=5, limits=Limits(memory=Bytes(7), cpu_shares=512)).spec.limits
    assert limits == Limits(memory=Bytes(1 << 20), pids=5, cpu_shares=512)


def test_the_environment_of_init_is_a_mapping() -> None:
    spec = Container("/srv/web", init=["/bin/worker", "-v"], env={"A": "b"}).spec
    assert (spec.init.argv, spec.init.env) == (("/bin/worker", "-v"), (("A", "b"),))


def test_what_does_not_run_cannot_be_worked_with() -> None:
    container = Container("/srv/web", name="web")
    assert not container.running
    assert container.status is None
    for act in (container.stats, container.freeze, container.output, lambda: container.pid, container.wait):
        with pytest.raises(OperationInvalidError, match="'web' does not run"):
            act()


def test_a_command_that_is_one_text_is_refused() -> None:
    with pytest.raises(TypeError, match="'/bin/sh' is one text: give a command as a list of words"):
        Container("/srv/web", init="/bin/sh")
    with pytest.raises(TypeError, match="7 is no word of a command, but int"):
        Container("/srv/web", init=["/bin/sh", 7])  # type: ignore[list-item]


def test_destroying_what_never_ran_is_no_error() -> None:
    assert Container("/srv/web").destroy() is None


def test_a_container_shows_what_it_is() -> None:
    assert repr(Container("/srv/web", name="web")) == "<Container web: not started>"


def test_every_public_name_can_be_imported_and_no_other() -> None:
    assert all(getattr(insula, name) is not None for name in insula.__all__)
    assert set(insula.__all__) <= set(dir(insula))
    with pytest.raises(AttributeError, match="no attribute 'Containers'"):
        _ = insula.Containers

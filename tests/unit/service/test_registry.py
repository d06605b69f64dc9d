"""Things of any noun are found by UUID or name, and unique in both: tried with a noun that only tests have."""

from dataclasses import dataclass
from uuid import UUID

import pytest

from insula.errorcodes import ErrorCode
from insula.errors import InsulaError
from insula.service.registry import Noun, Registry

OAK, ELM = UUID(int=1), UUID(int=2)


class NoTreeError(InsulaError):
    code = ErrorCode.NO_NETWORK


class TreeExistsError(InsulaError):
    code = ErrorCode.OPERATION_FAILED


@dataclass(slots=True, kw_only=True)
class Tree:
    name: str
    uuid: UUID
    gone: bool = False


def tree(name: str, uuid: UUID) -> Tree:
    return Tree(name=name, uuid=uuid)


@pytest.fixture
def registry() -> Registry[Tree]:
    made: Registry[Tree] = Registry(Noun(word="tree", missing=NoTreeError, exists=TreeExistsError))
    made.add(tree("oak", OAK))
    return made


def test_a_thing_is_found_by_what_names_it(registry: Registry[Tree]) -> None:
    assert registry.by_name("oak") is registry.by_uuid(OAK)
    assert registry.by_bytes(OAK.bytes) is registry.find(OAK)
    assert registry.find(ELM) is None


def test_what_is_not_there_is_said_in_libvirts_words_and_with_the_nouns_error(registry: Registry[Tree]) -> None:
    with pytest.raises(NoTreeError, match="no tree with matching name 'elm'"):
        registry.by_name("elm")
    with pytest.raises(NoTreeError, match=f"no tree with matching uuid '{ELM}'"):
        registry.by_uuid(ELM)
    with pytest.raises(NoTreeError, match=f"no tree with matching uuid '{ELM}'"):
        registry.by_bytes(ELM.bytes)


def test_names_and_uuids_are_unique(registry: Registry[Tree]) -> None:
    for name, uuid in (("oak", OAK), ("oak", ELM), ("elm", OAK)):
        with pytest.raises(TreeExistsError, match="tree 'oak' "):
            registry.add(tree(name, uuid))
    assert len(registry) == 1
    assert registry.admit("oak", OAK) is registry.by_uuid(OAK)
    assert registry.admit("elm", ELM) is None


def test_a_removed_thing_frees_its_name_and_knows_that_it_is_gone(registry: Registry[Tree]) -> None:
    felled = registry.by_name("oak")
    registry.remove(felled)
    registry.remove(felled)

    assert felled.gone
    assert registry.add(tree("oak", ELM)) is registry.by_name("oak")


def test_going_through_the_things_minds_no_changes_meanwhile(registry: Registry[Tree]) -> None:
    for number in range(10, 13):
        registry.add(tree(f"t{number}", UUID(int=number)))
    for each in registry:
        registry.remove(each)

    assert len(registry) == 0


def test_a_name_is_claimed_before_a_thing_is_called_by_it(registry: Registry[Tree]) -> None:
    oak = registry.by_name("oak")
    registry.claim(oak, "beech")
    with pytest.raises(TreeExistsError):
        registry.claim(oak, "beech")
    with pytest.raises(TreeExistsError):
        registry.admit("beech", ELM)
    registry.disclaim("beech")
    assert not registry.has_name("beech")
    registry.claim(oak, "beech")
    registry.rename(oak, "beech")
    assert registry.by_name("beech") is oak and oak.name == "beech" and not registry.has_name("oak")

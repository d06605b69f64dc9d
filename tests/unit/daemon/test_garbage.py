import gc
from collections.abc import Iterator

import pytest

from insula.daemon.garbage import unsearched


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_garbage_is_not_looked_for_meanwhile_and_what_was_made_is_left_out_afterwards() -> None:
    before = gc.get_freeze_count()
    with unsearched():
        assert not gc.isenabled()
        made = [[each] for each in range(10_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() - before > len(made)


def test_it_is_looked_for_again_after_a_failure() -> None:
    with pytest.raises(ValueError, match="no"), unsearched():
        raise ValueError("no")
    assert gc.isenabled()

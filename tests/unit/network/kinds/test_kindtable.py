"""Every kind of interface that a spec may have has who makes it, and who ends it."""

from typing import get_args

from insula.engine.interfaceperformer import InterfaceKind
from insula.engine.interfacespec import Interface
from insula.network.kinds.kindtable import BY_RECORD, KINDS


def test_every_member_of_the_union_is_made_and_every_record_is_ended() -> None:
    assert set(KINDS) == set(get_args(Interface))
    assert set(BY_RECORD) == set(InterfaceKind)
    assert {each.kind for each in KINDS.values()} == set(InterfaceKind)

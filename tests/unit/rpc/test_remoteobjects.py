"""Rows of what there is beside domains."""

from insula.rpc.frames import RpcProgram
from insula.rpc.remote import Remote
from insula.rpc.remoteobjects import ObjectRows


def test_its_rows_are_the_programs() -> None:
    assert ObjectRows.NETWORK_LOOKUP_BY_NAME is Remote.NETWORK_LOOKUP_BY_NAME
    assert ObjectRows.NETWORK_LOOKUP_BY_NAME.program is RpcProgram.REMOTE
    assert ObjectRows.rows.items() <= Remote.rows.items()

"""Connection and host rows: whoever connects needs them first."""

from insula.rpc.frames import RpcProgram
from insula.rpc.remote import Remote
from insula.rpc.remotehost import HostRows


def test_its_rows_are_the_programs() -> None:
    assert HostRows.CONNECT_OPEN is Remote.CONNECT_OPEN
    assert HostRows.CONNECT_OPEN.program is RpcProgram.REMOTE
    assert HostRows.rows.items() <= Remote.rows.items()

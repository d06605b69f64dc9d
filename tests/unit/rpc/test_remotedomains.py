"""Domains' rows: their snapshots and events among them."""

from insula.rpc.frames import RpcProgram
from insula.rpc.remote import Remote
from insula.rpc.remotedomains import DomainRows


def test_its_rows_are_the_programs() -> None:
    assert DomainRows.DOMAIN_GET_STATE is Remote.DOMAIN_GET_STATE
    assert DomainRows.DOMAIN_GET_STATE.program is RpcProgram.REMOTE
    assert DomainRows.rows.items() <= Remote.rows.items()

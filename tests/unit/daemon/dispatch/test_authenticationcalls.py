"""Authentication on the wire, where nothing is to be proved; the rest is tested with what asks for it."""

import pytest

from insula.errorcodes import ErrorCode
from insula.rpc.procedures import Remote
from tests.unit.daemon.clientend import connected, failure

pytestmark = pytest.mark.asyncio


async def test_who_has_nothing_to_prove_is_told_so_and_can_prove_nothing() -> None:
    async with connected(opened=False) as both:
        assert (await both.client.call(Remote.AUTH_LIST)).types == (0,)
        for row, arguments in (
            (Remote.AUTH_SASL_INIT, ()),
            (Remote.AUTH_SASL_START, ("SCRAM-SHA-256", 0, b"n,,n=anna,r=aaaaaaaa")),
            (Remote.AUTH_SASL_STEP, (1, b"")),
            (Remote.AUTH_POLKIT, ()),
        ):
            with failure(ErrorCode.AUTH_FAILED):
                await both.client.call(row, *arguments)
        await both.client.open()

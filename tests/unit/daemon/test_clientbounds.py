"""What one client may cost."""

from insula.daemon import clientbounds
from insula.rpc.frames import LENGTH_MAX


def test_who_may_do_more_may_send_more_at_once() -> None:
    assert clientbounds.PACKET_LIMIT_UNOPENED < clientbounds.PACKET_LIMIT_READ_ONLY < LENGTH_MAX


def test_the_largest_packet_fits_what_may_wait() -> None:
    assert clientbounds.BACKLOG_HIGH < LENGTH_MAX < clientbounds.BACKLOG_LIMIT

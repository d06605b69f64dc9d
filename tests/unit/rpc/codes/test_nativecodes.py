"""What can be asked of calls that libvirt has no words for: numbers that must not change."""

from insula.rpc.codes.nativecodes import ImageFlags


def test_the_numbers_on_the_wire_stay() -> None:
    assert int(ImageFlags.CLONES) == 1

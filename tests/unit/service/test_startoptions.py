"""What a caller may ask for that libvirt has no number for."""

from insula.service.startoptions import Storage


def test_storage_stays_or_goes() -> None:
    assert {each.value for each in Storage} == {"keep", "discard"}

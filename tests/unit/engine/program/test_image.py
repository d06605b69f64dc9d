from insula.engine.program import image
from tests.players import builder


def test_the_encoding_is_that_of_its_version() -> None:
    """Whoever has to change this raises `image.VERSION`: players of other versions are running."""
    program = builder(machine="x86_64")
    room = program.room(4)
    found = program.call("openat", -100, program.text("/dev/null"), 0, 0, again=True)
    program.store(room, found)
    program.words([room])
    encoded = program.finished().image
    assert image.VERSION == 1
    assert encoded[:8] == b"INSULAP\x01"
    assert encoded[8:36].hex(" ", 4) == "08010000 02000000 40000000 01000000 e0000000 ffffffff ffffffff"
    assert encoded[64:144].hex(" ", 8) == (
        "0101000004000400 0000000000000000 0000000000000000 9cffffffffffffff "
        "f000000000000000 0000000000000000 0000000000000000 0000000000000000 "
        "0000000000000000 0000000000000000"
    )
    assert encoded[144:176].hex(" ", 8) == "feffffff09000000 0000000000000000 0000000000000000 e800000000000000"
    assert encoded[224:228].hex() == "00010000"
    assert encoded[256:264].hex() == "e800000000000000"

"""What keepers of earlier versions say is heard in today's words."""

from insula.engine.keeper.dialects import FORMER_VERSIONS, TRANSLATIONS
from insula.engine.keeper.protocol import VERSION


def test_every_earlier_version_is_understood() -> None:
    assert tuple(TRANSLATIONS) == FORMER_VERSIONS == tuple(range(1, VERSION))


def test_the_first_version_called_a_processs_state_its_stage() -> None:
    hello = {
        "answer": 1,
        "version": 1,
        "guests": [{"uuid": "u", "pid": 7, "stage": "RUNNING", "status": None}],
        "executions": [{"id": "x", "uuid": "u", "stage": "EXITED"}],
    }
    assert TRANSLATIONS[1](hello) == {
        "answer": 1,
        "version": 1,
        "guests": [{"uuid": "u", "pid": 7, "state": "RUNNING", "status": None}],
        "executions": [{"id": "x", "uuid": "u", "state": "EXITED"}],
    }
    assert TRANSLATIONS[1]({"answer": 2, "pid": 7, "stage": "HELD"}) == {"answer": 2, "pid": 7, "state": "HELD"}
    event = {"event": "exited", "uuid": "u", "status": 0}
    assert TRANSLATIONS[1](event) == event

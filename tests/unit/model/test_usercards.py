"""Cards of type `user`: their helper, and which ports they forward."""

import pytest

from insula.model.interfaces import Interface
from insula.model.usercards import BackendType
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump

DOCUMENTED = """<interface type='user'><mac address='52:54:00:3b:83:1a'/><source dev='enp1s0'/>
<ip address='10.30.0.5' family='ipv4' prefix='24'/><backend type='passt' logFile='/var/log/card.log'/>
<portForward proto='tcp' address='2001:db8::1' dev='enp1s0'><range start='2022' to='22'/>
<range start='1000' end='1050'/><range start='1020' exclude='yes'/><range start='1030' end='1040' exclude='yes'/>
</portForward></interface>"""


def forwarded(ranges: str) -> list[tuple[int, int, int]]:
    text = f"<interface type='user'><portForward proto='udp'>{ranges}</portForward></interface>"
    (forward,) = load(Interface, "interface", text).port_forwards
    return list(forward.parts())


def test_what_is_documented_is_understood_and_written_again() -> None:
    card = load(Interface, "interface", DOCUMENTED)
    assert card.backend is not None
    assert (card.backend.type, card.backend.log_file) == (BackendType.PASST, "/var/log/card.log")
    (forward,) = card.port_forwards
    assert (str(forward.address), forward.device) == ("2001:db8::1", "enp1s0")
    assert list(forward.parts()) == [
        (2022, 2022, 22),
        (1000, 1019, 1000),
        (1021, 1029, 1021),
        (1041, 1050, 1041),
    ]
    assert load(Interface, "interface", dump(card, "interface")) == card


@pytest.mark.parametrize(
    ("ranges", "parts"),
    [
        ("<range start='80'/>", [(80, 80, 80)]),
        (
            "<range start='8080' end='8082' to='80'/><range start='8081' exclude='yes'/>",
            [(8080, 8080, 80), (8082, 8082, 82)],
        ),
        ("<range start='1' end='9'/><range start='1' end='9' exclude='yes'/>", []),
        ("<range start='5' end='9'/><range start='1' end='6' exclude='yes'/>", [(7, 9, 7)]),
        ("<range start='5' end='9'/><range start='8' end='20' exclude='yes'/>", [(5, 7, 5)]),
        ("<range start='5' end='9'/><range start='20' exclude='yes'/>", [(5, 9, 5)]),
        ("<range start='5' exclude='yes'/>", []),
        ("", []),
    ],
)
def test_ranges_are_what_is_left_of_them(ranges: str, parts: list[tuple[int, int, int]]) -> None:
    assert forwarded(ranges) == parts

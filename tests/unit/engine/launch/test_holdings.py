"""What is written down of a launch is read again, in the words of earlier versions too."""

import json

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.launch.holdings import ControlGroup, Holding, Interfaces, Remains, ScopeGroup

ETH0 = ConnectedInterface(guest="eth0", host="vnet0", host_index=3, bridge="br0", mac="00:16:3e:00:00:01")
REMAINS = Remains(
    uuid="u",
    launch="a1",
    pid=4711,
    born=99,
    holdings=(ControlGroup(path="a/b", made=False), ScopeGroup(path="c.scope/insula"), Interfaces(connected=(ETH0,))),
)


def test_what_there_may_be_of_a_launch_survives_json() -> None:
    assert Remains.decode(json.loads(json.dumps(REMAINS.encode()))) == REMAINS


@pytest.mark.parametrize(
    ("group", "held"),
    [
        (None, ()),
        ("machine.slice/web.scope", (ControlGroup(path="machine.slice/web.scope"),)),
        ("machine.slice/web.scope/insula", (ScopeGroup(path="machine.slice/web.scope/insula"),)),
    ],
)
def test_an_intent_of_an_earlier_version_holds_its_group_if_it_knew_one(
    group: str | None, held: tuple[Holding, ...]
) -> None:
    former = {"uuid": "u", "launch": "a1", "group": group}
    assert Remains.decode(former) == Remains(uuid="u", launch="a1", holdings=held)


@pytest.mark.parametrize("data", [{}, [], "", None, {"group": "g"}, {"uuid": "u", "holdings": [{"kind": "Moon"}]}])
def test_what_makes_no_sense_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="Remains"):
        Remains.decode(data)  # type: ignore[arg-type]

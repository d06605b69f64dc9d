"""What is taken between two readings, and what of the bulk statistics it is made of."""

import json
from typing import Any

from insula.cli.usagesamples import FIELDS, of_these, rates, sample
from insula.model.numbers import ParameterType
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import TypedParameter
from tests.unit.cli.fake_client import WEB, FakeClient


def taken(**values: Any) -> dict[str, Any]:
    return {"cpu_time": 0, "memory": 1, "received": 0, "sent": 0, "read": 0, "written": 0, **values}


def read(values: dict[str, int]) -> dict[str, Any]:
    """A sample of a guest with these bulk statistics."""
    told = [(WEB, [TypedParameter(name, ParameterType.ULLONG, value) for name, value in values.items()])]
    answers = {
        Remote.CONNECT_GET_ALL_DOMAIN_STATS: told,
        Insula.DOMAIN_LIST: json.dumps([{"name": "web", "memory_limit": 7}]),
    }
    return dict(sample(FakeClient(answers).host)["web"])


def test_what_is_taken_is_of_the_time_between_and_who_is_new_has_taken_nothing() -> None:
    before = {"a": taken(sent=5)}
    now = {"a": taken(cpu_time=1_000_000_000, sent=1005), "b": taken(cpu_time=5)}
    rows = {each["name"]: each for each in rates(before, now, 2.0)}
    assert (rows["a"]["cpu"], rows["b"]["cpu"]) == (50.0, 0.0)
    assert (rows["a"]["sent_rate"], rows["a"]["read_rate"], rows["b"]["sent_rate"]) == (500, 0, 0)


def test_who_began_again_in_between_has_taken_nothing_less() -> None:
    (row,) = rates({"a": taken(cpu_time=9_000_000_000, read=9)}, {"a": taken(read=1)}, 1.0)
    assert (row["cpu"], row["read_rate"]) == (0.0, 0)


def test_all_devices_count_and_an_insulad_of_before_tells_of_disks() -> None:
    newer = read({"block.0.rd.bytes": 3, "insula.io.rd.bytes": 50, "insula.tasks.current": 4})
    assert (newer["read"], newer["tasks"], newer["memory_limit"]) == (50, 4, 7)
    older = read({"block.0.rd.bytes": 3, "block.1.rd.bytes": 4, "net.0.rx.bytes": 9})
    assert (older["read"], older["tasks"], older["cpu_pressure"], older["received"]) == (7, None, None, 9)


def test_rows_have_the_fields_that_are_promised() -> None:
    (row,) = rates({}, {"web": read({})}, 1.0)
    assert set(row) == set(FIELDS)
    assert of_these(frozenset({"other"}), [row]) == [] and of_these(frozenset(), [row]) == [row]

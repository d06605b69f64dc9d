import json
import os

import pytest

from insula.engine.enter.callinside import _understood, call_inside
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.errors import InvalidArgumentError, OperationFailedError, OperationUnsupportedError
from insula.kernel.cgroups import Cgroup, Hierarchies


def test_a_result_comes_out_as_json_has_it() -> None:
    assert _understood(json.dumps({"result": [1, "two", None]}).encode(), 0) == [1, "two", None]


def test_what_the_function_raised_is_told_by_type_and_text() -> None:
    with pytest.raises(OperationFailedError, match="inside the container: KeyError: 'x'"):
        _understood(b'{"error": "KeyError: \'x\'"}', 0)


def test_a_result_that_json_cannot_hold_is_told() -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be brought out"):
        _understood(b'{"type": "Object of type set is not JSON serializable"}', 0)


@pytest.mark.parametrize("said", [b"", b"{", b"\x80\x04K\x01."])
def test_a_visitor_that_dies_or_babbles_is_told(said: bytes) -> None:
    with pytest.raises(OperationFailedError, match="without a result, with status 137"):
        _understood(said, 137)


def test_what_is_no_answer_is_not_believed() -> None:
    with pytest.raises(OperationFailedError, match="cannot be understood"):
        _understood(b"[1]", 0)


def test_nobody_visits_a_guest_whose_root_is_the_hosts() -> None:
    spec = ContainerSpec(
        name="web",
        uuid="8f0c4bb0-6c5b-4f0e-9c3c-0b9b1b2e3d4f",
        root=DirectoryRoot(path="/srv/web"),
        privileged=True,
    )
    record = ContainerRecord(spec=spec, id=1, pid=1, born=0, boot="", group="a")
    running = Running(record=record, group=Cgroup(Hierarchies(), "a"))
    with pytest.raises(OperationUnsupportedError, match="no user namespace"):
        call_inside(running, os.getpid)

"""A failed call survives the way from the tracer, and says what its arguments were."""

import json

from insula.engine.codec import decode, encode
from insula.engine.explain.refusedcall import Trace
from tests.unit.engine.explain.failed import EPERM, caller, failed, seen


def test_a_trace_survives_json() -> None:
    call = failed("mount", EPERM, 1, 2, files=(seen("/mnt", "d"),), texts=((0, "none"),), times=3, mattered=True)
    trace = Trace(status=256, calls=(call,), overlooked=2)
    assert decode(Trace, json.loads(json.dumps(encode(trace)))) == trace


def test_what_arguments_were_is_found_by_their_places() -> None:
    first, second = seen("/a"), seen("/b", argument=1)
    call = failed("rename", EPERM, files=(first, second), texts=((0, "/a"), (1, "/b")))
    assert (call.text(1), call.text(2)) == ("/b", "")
    assert (call.file(), call.file(1), call.file(3)) == (first, second, None)


def test_a_limit_is_found_by_its_name() -> None:
    process = caller(limits=(("NOFILE", 64, 128), ("CORE", None, None)))
    assert (process.limit("NOFILE"), process.limit("CORE"), process.limit("AS")) == (64, None, None)

"""Tests of insula.engine.facts."""

import json
import os

from insula.engine.codec import decode, encode
from insula.engine.facts import Facts
from insula.engine.launch.systemdscope import Manager
from tests.descriptors import open_fds
from tests.plans import HYBRID, UNIFIED


def test_recorded_facts_survive_json() -> None:
    for facts in (HYBRID, UNIFIED):
        assert decode(Facts, json.loads(json.dumps(encode(facts)))) == facts


def test_detecting_tells_of_this_host_and_leaves_nothing_open() -> None:
    before = open_fds()
    facts = Facts.detect()
    assert open_fds() == before
    assert facts.kernel == os.uname().release
    assert facts.pids_max > 300
    assert {"proc", "tmpfs"} <= facts.filesystems
    assert facts.manager in Manager
    assert decode(Facts, json.loads(json.dumps(encode(facts)))) == facts

import os
import subprocess

import pytest

from insula.kernel.cgroups import Hierarchies, groups_of
from insula.kernel.cgroups.membership import parse_groups


def test_a_process_has_one_group_in_each_hierarchy() -> None:
    text = "12:cpu,cpuacct:/a\n1:name=systemd:/user.slice/b:c\n0::/user.slice/b:c\n"
    assert parse_groups(text) == {"cpu,cpuacct": "a", "name=systemd": "user.slice/b:c", "": "user.slice/b:c"}


def test_the_root_is_an_empty_path() -> None:
    assert parse_groups("0::/\n") == {"": ""}


def test_a_group_that_lies_outside_or_is_gone_is_told_as_the_kernel_does() -> None:
    assert parse_groups("0::/../other\n") == {"": "../other"}
    assert parse_groups("0::/a (deleted)\n") == {"": "a (deleted)"}


def test_no_character_of_a_name_but_the_line_feed_ends_a_line() -> None:
    assert parse_groups("0::/a\x0bb\u2028c\n") == {"": "a\x0bb\u2028c"}


def test_every_hierarchy_of_this_host_is_told() -> None:
    mounted = Hierarchies.detect()
    kinds = {frozenset(each.controllers) for each in mounted.v1} | (set() if mounted.v2 is None else {frozenset({""})})
    assert kinds <= {frozenset(kind.split(",")) for kind in groups_of(os.getpid())}


def test_a_process_that_has_ended_has_none() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    with pytest.raises(ProcessLookupError, match=str(ended.pid)):
        groups_of(ended.pid)

import errno

import pytest

from insula.engine.policy.callgroups import CallGroup, ForbiddenArgument, Refusal


@pytest.mark.parametrize(
    "group",
    [
        CallGroup(names=("read",), why="it is read"),
        Refusal(names=("bpf",), why="the host's", errno=errno.EPERM),
        ForbiddenArgument(names=("ioctl",), why="the host's", errno=errno.EPERM, conditions=()),
    ],
)
def test_every_kind_of_group_has_names_and_a_reason(group: CallGroup) -> None:
    assert group.names
    assert group.why

"""Tests of insula.engine.steps.host.owners: whose files a guest sees, and what is said where that cannot be changed."""

import errno
import os

import pytest

from insula.engine.steps.host.hoststep import HostContext
from insula.engine.steps.host.owners import ADVICE, map_owners
from insula.kernel.fds import NO_FD, Fd
from insula.kernel.mounts import make_filesystem
from tests.unit.engine.steps.host.sites import context
from tests.unit.engine.steps.inchild import in_namespaces


def here() -> HostContext:
    """Return a context whose child is this process: the kernel maps no file system to the namespace that made it."""
    at = context()
    at.process = Fd(os.open("/proc/self", os.O_PATH | os.O_DIRECTORY))
    return at


def test_a_tree_whose_owners_cannot_be_shifted_is_named_with_the_ways_out() -> None:
    def work() -> None:
        map_owners(here(), make_filesystem("tmpfs"), "/srv/data")

    with pytest.raises(OSError, match=r"make it <readonly/>, or switch the id mapping of this mount off") as caught:
        in_namespaces(work)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, "/srv/data")


@pytest.mark.parametrize("kind", ADVICE)
def test_each_kind_of_file_system_has_advice_of_its_own_with_the_guests_ids(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = f"{kind}.x" if kind == "fuse" else kind
    monkeypatch.setattr("insula.engine.steps.host.owners._type_of", lambda tree: full)

    def work() -> None:
        map_owners(here(), make_filesystem("tmpfs"), "/srv/data")

    with pytest.raises(OSError, match=rf"its file system \({full}\) cannot show .*{os.geteuid()}.*, or make it"):
        in_namespaces(work)


def test_what_can_only_be_read_is_shown_under_the_hosts_owners() -> None:
    def work() -> bool:
        tree = make_filesystem("tmpfs")
        map_owners(here(), tree, "/srv/data", read_only=True)
        return os.fstat(tree).st_uid == 0

    assert in_namespaces(work)


def test_other_refusals_to_shift_owners_stay_what_they_are() -> None:
    at = here()
    with pytest.raises(OSError, match="mount_setattr: ") as caught:
        map_owners(at, NO_FD, "/srv/data", read_only=True)
    assert caught.value.errno != errno.EINVAL
    at.close()

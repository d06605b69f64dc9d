"""What only those may see who may change domains: values of the init's environment are as good as passwords."""

from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside, insula
from tests.insulad import Insulad
from tests.trees import everything_below

pytestmark = pytest.mark.requires("virsh")

SECRET = "sesame-4711"


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    """A running domain with a secret in its environment."""
    xml = domain_xml("guest", busybox_root).replace("</os>", f"<initenv name='TOKEN'>{SECRET}</initenv></os>")
    insulad.define(xml)
    insulad.virsh("start", "guest")
    return "guest"


def test_no_answer_to_a_reader_holds_a_value_of_the_environment(insulad: Insulad, guest: str) -> None:
    told = insulad.virsh("dumpxml", guest, read_only=True).stdout
    told += insulad.virsh("dumpxml", guest, "--inactive", read_only=True).stdout
    assert "name='TOKEN'" in told and SECRET not in told
    assert insulad.virsh("dumpxml", guest, "--security-info", read_only=True, check=False).returncode != 0
    for words in (("dominfo", guest), ("domstats",), ("desc", guest), ("list", "--all", "--title")):
        assert SECRET not in insulad.virsh(*words, read_only=True).stdout
    assert SECRET not in insula(insulad, "info", guest).stdout
    assert SECRET not in insula(insulad, "plan", guest).stdout
    calls = insula(insulad, "plan", guest, "--syscalls").stdout
    assert SECRET not in calls
    assert "pivot_root" in calls
    assert "execve" in calls
    assert SECRET not in insulad.log_text(last=10_000_000)


def test_who_may_change_the_domain_sees_it_when_asking_for_it(insulad: Insulad, guest: str) -> None:
    assert SECRET not in insulad.virsh("dumpxml", guest).stdout
    assert SECRET in insulad.virsh("dumpxml", guest, "--security-info").stdout


def test_what_was_dumped_without_it_is_defined_again_with_it(insulad: Insulad, guest: str) -> None:
    insulad.define(insulad.virsh("dumpxml", guest, "--inactive").stdout)
    assert SECRET in insulad.virsh("dumpxml", guest, "--inactive", "--security-info").stdout
    insulad.virsh("destroy", guest)
    insulad.virsh("start", guest)
    assert SECRET in inside(insulad, guest, "cat", "/proc/1/environ")


def test_the_files_with_secrets_are_roots_own(insulad: Insulad, guest: str) -> None:
    holding = []
    for path in everything_below(insulad.prefix):
        with suppress(FileNotFoundError):  # replaced by another meanwhile
            if path.is_file() and SECRET.encode() in path.read_bytes():
                holding.append(path)
    assert holding, "the definition, at least"
    for path in holding:
        private = [each for each in (path, *path.parents) if not each.stat().st_mode & 0o077]
        assert private, f"{path} can be read by others"
        assert path.stat().st_mode & 0o077 == 0, path

"""LXC's manual is the judge of which keys there are."""

import gzip
import re
from pathlib import Path

import pytest

from insula.conversion.lxckeys import LXC_KEYS
from insula.conversion.lxcsyntax import present_key
from tests.unit.conversion.foreignkeys import documented

MANUAL = Path("/usr/share/man/man5/lxc.container.conf.5.gz")
KEYS = documented("lxc-tools")
"""The keys of LXC 2 to 6, as its manual names them."""
NETWORK = tuple(each.removeprefix("lxc.net.0.") for each in KEYS if each.startswith("lxc.net.0."))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_mapped_or_says_why_not(key: str) -> None:
    row = LXC_KEYS.find(present_key(key))
    assert row is not None
    assert row.read is not None or row.why or key.startswith("lxc.net.")


def test_no_two_rows_have_one_key_and_each_says_something() -> None:
    names = [each.name for each in LXC_KEYS.keys]
    assert len(names) == len(set(names))
    assert [each.name for each in LXC_KEYS.keys if not each.becomes and not each.why and each.read is None] == []


@pytest.mark.requires("lxc-tools")
def test_every_key_of_the_manual_that_is_installed_is_known() -> None:
    text = gzip.decompress(MANUAL.read_bytes()).decode().replace("\\&", "").replace("\\-", "-")
    keys = {each.strip() for each in re.findall(r"\\fB(lxc\.[a-z0-9_.\[\] -]+)\\fR", text)}
    assert len(keys) > 60
    odd = [key for key in sorted(keys) if not _is_known(key)]
    assert odd == []


def _is_known(key: str) -> bool:
    plain = re.sub(r"\[[a-z ]+\]", "x", key)
    if plain.startswith(("lxc.net.", "lxc.net ")) or plain == "lxc.net":
        return re.sub(r"lxc\.net(\.[x0-9]+)?\.?", "", plain) in ("", *NETWORK)
    return plain == "lxc.conf" or LXC_KEYS.find(plain) is not None

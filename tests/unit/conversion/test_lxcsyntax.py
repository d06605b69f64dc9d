from pathlib import PurePosixPath

import pytest

from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.lxckeys import LXC_KEYS
from insula.conversion.lxcsyntax import (
    FORMER_KEYS,
    INCLUDES_MAX,
    included,
    is_of_network,
    lxc_entries,
    lxc_files,
    lxc_networks,
    present_key,
)
from insula.errors import InvalidArgumentError

PLACE = PurePosixPath("/var/lib/lxc/web/config")


def _entries(text: str, **others: str) -> list[tuple[str, str]]:
    named = {f"/inc/{name}.conf": each for name, each in others.items()}
    document = ForeignDocument(text=text, path=PLACE, others=named)
    return [(each.key, each.value) for each in lxc_entries(document)]


def test_settings_are_lines_and_comments_are_none() -> None:
    assert _entries('# c\n\nlxc.uts.name = web\n  lxc.arch="amd64"\n') == [
        ("lxc.uts.name", "web"),
        ("lxc.arch", "amd64"),
    ]


def test_a_line_that_is_no_setting_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match="line 2: 'nonsense'"):
        _entries("lxc.arch = x\nnonsense\n")


def test_an_include_stands_for_the_files_that_it_means() -> None:
    texts = {"a": "lxc.arch = one", "b": "lxc.arch = two"}
    for wanted in ("/inc", "/inc/*.conf", "/inc/?.conf"):
        assert _entries(f"lxc.include = {wanted}", **texts) == [("lxc.arch", "one"), ("lxc.arch", "two")]
    assert _entries("lxc.include = /inc/b.conf", **texts) == [("lxc.arch", "two")]


def test_an_include_that_is_not_at_hand_stays() -> None:
    assert _entries("lxc.include = /nowhere") == [("lxc.include", "/nowhere")]


def test_what_includes_itself_is_refused_however_it_does() -> None:
    with pytest.raises(InvalidArgumentError, match="includes itself"):
        _entries("lxc.include = /inc/a.conf", a="lxc.include = /inc/b.conf", b="lxc.include = /inc/a.conf")
    with pytest.raises(InvalidArgumentError, match="includes itself"):
        lxc_entries(ForeignDocument(text=f"lxc.include={PLACE}", path=PLACE, others={str(PLACE): ""}))


def test_includes_have_an_end() -> None:
    with pytest.raises(InvalidArgumentError, match=str(INCLUDES_MAX)):
        _entries("lxc.include = /inc/a.conf\n" * (INCLUDES_MAX + 1), a="")


def test_relative_includes_are_beside_the_document() -> None:
    document = ForeignDocument(text="", path=PLACE, others={"/var/lib/lxc/web/more": ""})
    assert included(document, "more") == ("/var/lib/lxc/web/more",)


@pytest.mark.parametrize(
    ("line", "left"),
    [("lxc.cap.drop =", []), ("lxc.cap =", []), ("lxc.ca =", ["lxc.cap.drop"]), ("lxc.cap.dro =", ["lxc.cap.drop"])],
)
def test_a_key_without_a_value_takes_back_what_it_said(line: str, left: list[str]) -> None:
    assert [key for key, _ in _entries(f"lxc.cap.drop = sys_time\n{line}")] == left


def test_networks_can_be_cleared_in_the_old_spelling_and_the_new() -> None:
    for clearing in ("lxc.net =", "lxc.network ="):
        assert _entries(f"lxc.net.0.type = veth\n{clearing}") == []


def test_a_documents_files_are_told() -> None:
    text = "lxc.include = /usr/share/lxc/config/common.conf\nlxc.mount.fstab = /etc/fstab.web\nlxc.mount=/b\n"
    assert lxc_files(text) == ("/usr/share/lxc/config/common.conf", "/etc/fstab.web", "/b")


def test_former_keys_are_those_of_today() -> None:
    assert [each for each in FORMER_KEYS.values() if LXC_KEYS.find(each) is None] == []
    assert present_key("lxc.limit.nofile") == "lxc.prlimit.nofile"
    assert present_key("lxc.utsname") == "lxc.uts.name"


def test_networks_without_numbers_begin_with_their_type() -> None:
    text = (
        "lxc.network.type=veth\nlxc.network.ipv4=a\nlxc.network.type=phys\nlxc.network.link=eth1\nlxc.net.7.type=none"
    )
    entries = lxc_entries(ForeignDocument(text=text))
    found = {label: sorted(settings) for label, settings in lxc_networks(entries)}
    assert found == {
        "lxc.network.0": ["ipv4.address", "type"],
        "lxc.network.1": ["link", "type"],
        "lxc.net.7": ["type"],
    }
    assert all(map(is_of_network, entries))

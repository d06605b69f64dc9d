"""Tests of insula.engine.fragments.toldnames: what a guest is told, and that the image's own files stay."""

from dataclasses import replace
from typing import Any

import pytest

from insula.engine.fragments.toldnames import names_told, shown_at
from insula.engine.interfacespec import NetworkKind
from insula.engine.spec import InitKind, NameFiles
from insula.engine.steps.guest.roottree import MakeFile
from insula.engine.steps.guest.shownfiles import ShowFile
from tests.unit.engine.fragments.example import SPEC

RESOLVED = NameFiles(resolver="run/systemd/resolve/stub-resolv.conf", there=False, resolved=True)
ASKED = {"nameservers": ("192.0.2.1", "2001:db8::1"), "search_domains": ("lan.example", "example")}


def told(**changes: Any) -> list[tuple[type, str, str]]:
    steps = names_told(replace(SPEC, **changes))
    return [(type(each), each.path, each.content) for each in steps if isinstance(each, MakeFile | ShowFile)]


def test_nobody_is_told_anything_unasked() -> None:
    assert told() == []


def test_a_resolver_without_a_service_is_shown_another_file() -> None:
    text = "search lan.example example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n"
    assert told(**ASKED) == [(ShowFile, "etc/resolv.conf", text)]
    elsewhere = NameFiles(resolver="run/resolvconf/resolv.conf")
    assert told(**ASKED, name_files=elsewhere) == [(ShowFile, "run/resolvconf/resolv.conf", text)]


def test_systemd_resolved_is_told_in_its_own_way() -> None:
    drop_in = "[Resolve]\nDNS=192.0.2.1 2001:db8::1\nDomains=lan.example example\n"
    path = "run/systemd/resolved.conf.d/00-insula.conf"
    assert told(**ASKED, name_files=RESOLVED, init_kind=InitKind.SYSTEMD) == [(MakeFile, path, drop_in)]
    only = {"search_domains": ("example",), "name_files": RESOLVED, "init_kind": InitKind.SYSTEMD}
    assert told(**only) == [(MakeFile, path, "[Resolve]\nDomains=example\n")]


@pytest.mark.parametrize("changes", [{"init_kind": InitKind.PLAIN}, {"network": NetworkKind.HOST}])
def test_where_it_does_not_run_its_file_is_shown(changes: dict[str, Any]) -> None:
    given = {"init_kind": InitKind.SYSTEMD, **changes}
    ((kind, path, _),) = told(**ASKED, name_files=RESOLVED, **given)
    assert (kind, path) == (ShowFile, "run/systemd/resolve/stub-resolv.conf")


@pytest.mark.parametrize(("own", "kept"), [("", ""), ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n"), ("x", "x\n")])
def test_hosts_stand_behind_the_images_own(own: str, kept: str) -> None:
    hosts = (("192.0.2.1", ("db", "db.example")), ("2001:db8::1", ("six",)))
    expected = f"{kept}192.0.2.1\tdb db.example\n2001:db8::1\tsix\n"
    assert told(hosts=hosts, name_files=NameFiles(hosts=own)) == [(ShowFile, "etc/hosts", expected)]


def test_what_is_shown_is_known_by_its_place() -> None:
    spec = replace(SPEC, nameservers=("192.0.2.1",), hosts=(("192.0.2.1", ("db",)),), name_files=RESOLVED)
    assert shown_at(spec) == ("/run/systemd/resolve/stub-resolv.conf", "/etc/hosts")
    assert shown_at(replace(spec, init_kind=InitKind.SYSTEMD)) == ("/etc/hosts",)

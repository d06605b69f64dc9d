from dataclasses import replace

from insula.conversion.findings import Consequence
from insula.conversion.losses import Reason, losses
from insula.model.domain import DomainDefinition
from tests.unit.conversion.conversions import keys_of

XML = """<domain type='lxc'>{before}<name>web</name><uuid>8a7c2b02-6a4e-4a6f-a5d3-b1a9f2c37a12</uuid>{title}
<memory>{memory}</memory><os><type>exe</type></os><devices>{devices}<console type='pty'/></devices></domain>"""
REASONS = {"title": Reason("no titles", "none"), "devices/filesystem": Reason("no mounts")}


def _domain(*, before: str = "", title: str = "", memory: int = 1024, devices: str = "") -> DomainDefinition:
    return DomainDefinition.load(XML.format(before=before, title=title, memory=memory, devices=devices))


def _mount(target: str, source: str = "/srv") -> str:
    return f"<filesystem type='mount'><source dir='{source}'/><target dir='{target}'/></filesystem>"


def test_equal_domains_lose_nothing() -> None:
    assert losses(_domain(), _domain(), {}) == ()


def test_what_is_gone_is_lost_for_the_reason_that_fits_best() -> None:
    (found,) = losses(_domain(title="<title>t</title>"), _domain(), REASONS)
    assert (found.key, found.consequence, found.why, found.advice) == ("title", Consequence.LOST, "no titles", "none")


def test_what_is_another_or_comes_on_top_is_changed() -> None:
    found = losses(_domain(memory=1024), _domain(memory=2048), {})
    assert keys_of(found) == {"memory", "currentMemory"}
    assert {each.consequence for each in found} == {Consequence.CHANGED}
    (added,) = losses(_domain(), _domain(title="<title>t</title>"), {})
    assert (added.key, added.consequence) == ("title", Consequence.CHANGED)


def test_devices_are_told_apart_by_what_they_are_for_not_by_their_number() -> None:
    before = _domain(devices=_mount("/a") + _mount("/b") + _mount("/c", "/one"))
    after = _domain(devices=_mount("/c", "/two") + _mount("/b"))
    found = losses(before, after, REASONS)
    assert keys_of(found) == {"devices/filesystem[/a]", "devices/filesystem[/c]/source/@dir"}
    assert {each.why for each in found} == {"no mounts"}


def test_comments_count_once_a_place() -> None:
    before = _domain(before="<!-- a --><!-- b -->")
    assert keys_of(losses(before, _domain(), {})) == {"comment()"}


def test_what_a_label_holds_can_be_seen() -> None:
    odd = replace(_domain(devices=_mount("/a")))
    (found,) = losses(replace(odd, title=None), _domain(devices=_mount("/a&#10;b") + _mount("/a")), {})
    assert "\n" not in found.key

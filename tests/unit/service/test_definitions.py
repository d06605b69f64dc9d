"""Definitions are files, and a bad file never stops the others."""

import errno
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest

from insula.kernel.durable import NEW_PREFIX
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.service.definitionindex import DefinitionIndex
from insula.service.definitions import Definitions, Form
from insula.service.domains import definitions_of

XML = """
<domain type='lxc'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>65536</memory>
  <os><type>exe</type></os>
  <devices>
    <filesystem type='mount'><source dir='/srv/{name}'/><target dir='/'/></filesystem>
  </devices>
</domain>
"""
WEB, MAIL = UUID(int=1), UUID(int=2)


def domain(name: str, uuid: UUID) -> DomainDefinition:
    return DomainDefinition.load(XML.format(name=name, uuid=uuid))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.prefix(tmp_path)
    layout.run.mkdir(parents=True)
    return layout


def names(layout: Layout) -> list[str]:
    return [each.config.name for each in definitions_of(layout).load()]


def test_a_saved_definition_is_there_after_the_next_start(layout: Layout) -> None:
    definitions = definitions_of(layout)
    definitions.save(domain("web", WEB))
    definitions.save(domain("mail", MAIL))
    definitions.set_autostart("web", on=True)

    loaded = definitions_of(layout).load()

    assert [(each.config, each.autostart) for each in loaded] == [
        (domain("mail", MAIL), False),
        (domain("web", WEB), True),
    ]
    assert os.readlink(layout.autostart / "web.xml") == "../web.xml"


def test_a_removed_definition_takes_its_autostart_along(layout: Layout) -> None:
    definitions = definitions_of(layout)
    definitions.save(domain("web", WEB))
    definitions.set_autostart("web", on=True)

    definitions.remove("web")
    definitions.remove("web")

    assert names(layout) == []
    assert os.listdir(layout.autostart) == []


def test_autostart_can_be_set_and_cleared_again_and_again(layout: Layout) -> None:
    definitions = definitions_of(layout)
    definitions.save(domain("web", WEB))
    for on in (True, True, False, False):
        definitions.set_autostart("web", on=on)
        assert definitions.load()[0].autostart is on


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "web.xml"),
        ("<domain type='lxc'><name>web</name>", "web.xml"),
        ("<network><name>web</name></network>", "expected a <domain>"),
        (XML.format(name="other", uuid=WEB), "should be named other.xml"),
        ("\udcff", "web.xml"),
    ],
    ids=["empty", "half", "foreign", "misnamed", "not text"],
)
def test_a_file_that_is_no_definition_is_named_in_the_log_and_set_aside(
    layout: Layout, caplog: pytest.LogCaptureFixture, text: str, reason: str
) -> None:
    definitions_of(layout).save(domain("mail", MAIL))
    (layout.definitions / "web.xml").write_text(text, errors="surrogateescape")

    with caplog.at_level(logging.ERROR):
        assert names(layout) == ["mail"]

    assert reason in caplog.text
    assert (layout.definitions / "web.xml.set-aside").read_text(errors="surrogateescape") == text
    assert names(layout) == ["mail"]


def test_files_set_aside_do_not_replace_each_other(layout: Layout) -> None:
    layout.definitions.mkdir(parents=True)
    for content in ("one", "two"):
        (layout.definitions / "web.xml").write_text(content)
        definitions_of(layout).load()

    assert (layout.definitions / "web.xml.set-aside").read_text() == "one"
    assert (layout.definitions / "web.xml.set-aside.1").read_text() == "two"


def test_a_fifo_among_the_definitions_does_not_hang_the_daemon(layout: Layout) -> None:
    layout.definitions.mkdir(parents=True)
    os.mkfifo(layout.definitions / "web.xml")

    assert names(layout) == []


def test_of_two_files_with_one_uuid_the_younger_is_the_domain(layout: Layout) -> None:
    definitions = definitions_of(layout)
    definitions.save(domain("old", WEB))
    definitions.save(domain("new", WEB))
    os.utime(layout.definitions / "old.xml", ns=(1, 1))

    assert names(layout) == ["new"]
    assert (layout.definitions / "old.xml.set-aside").exists()


def test_the_younger_wins_whatever_its_name(layout: Layout) -> None:
    definitions = definitions_of(layout)
    definitions.save(domain("aaa", WEB))
    definitions.save(domain("zzz", WEB))
    os.utime(layout.definitions / "zzz.xml", ns=(1, 1))

    assert names(layout) == ["aaa"]


def test_what_a_dead_writer_left_and_links_to_nothing_are_cleared(layout: Layout) -> None:
    definitions = definitions_of(layout)
    definitions.save(domain("web", WEB))
    (layout.definitions / f"{NEW_PREFIX}00").write_text("half")
    (layout.autostart / "gone.xml").symlink_to("../gone.xml")

    assert names(layout) == ["web"]
    assert sorted(os.listdir(layout.definitions)) == ["autostart", "web.xml"]
    assert os.listdir(layout.autostart) == []


def test_a_definition_that_an_administrator_links_from_elsewhere_is_read(layout: Layout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "checkout.xml"
    elsewhere.write_text(XML.format(name="web", uuid=WEB))
    layout.definitions.mkdir(parents=True)
    (layout.definitions / "web.xml").symlink_to(elsewhere)

    assert names(layout) == ["web"]


def test_a_name_with_two_hyphens_makes_no_broken_comment(layout: Layout) -> None:
    definitions_of(layout).save(domain("a--b", WEB))

    assert names(layout) == ["a--b"]


def test_a_file_made_by_hand_without_uuid_is_given_one_for_good(layout: Layout) -> None:
    layout.definitions.mkdir(parents=True)
    text = XML.format(name="web", uuid=WEB).replace(f"<uuid>{WEB}</uuid>", "")
    (layout.definitions / "web.xml").write_text(text)

    first, second = (definitions_of(layout).load()[0].config.uuid for _ in range(2))

    assert first == second


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_file_that_cannot_be_read_now_stays_and_is_not_written_over(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    definitions_of(layout).save(domain("web", WEB))
    definitions_of(layout).set_autostart("web", on=True)
    file = layout.definitions / "web.xml"
    before = file.read_bytes()
    definitions = definitions_of(layout)

    def refuse(path: Path) -> tuple[int, str]:
        raise OSError(number, os.strerror(number), os.fspath(path))

    with monkeypatch.context() as failing:
        failing.setattr("insula.service.definitions._regular_text", refuse)
        assert definitions.load() == ()
    with pytest.raises(OSError, match="start insulad again"):
        definitions.save(domain("web", MAIL))
    assert [each.name for each in layout.definitions.glob("web*")] == ["web.xml"]
    assert file.read_bytes() == before
    assert [(each.config.name, each.autostart) for each in definitions_of(layout).load()] == [("web", True)]


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A noun that only tests have."""

    name: str
    uuid: UUID

    @classmethod
    def load(cls, text: str) -> "Tree":
        name, uuid = text.rpartition("-->")[2].split()
        return cls(name=name, uuid=UUID(uuid))


def trees(directory: Path) -> Definitions[Tree]:
    form = Form(word="tree", editor="prune", load=Tree.load, dump=lambda tree: f"{tree.name} {tree.uuid}")
    return Definitions(
        form,
        directory=directory / "trees",
        autostart=directory / "trees/autostart",
        index=DefinitionIndex(directory / "index", "1"),
    )


def test_things_of_any_noun_are_kept_with_their_autostart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = trees(tmp_path)
    kept.save(Tree(name="oak", uuid=WEB))
    kept.save(Tree(name="elm", uuid=MAIL))
    kept.set_autostart("oak", on=True)
    (tmp_path / "trees/ash.xml").write_text("beech 00000000-0000-0000-0000-000000000003")

    assert "To change the tree use: prune oak" in (tmp_path / "trees/oak.xml").read_text()
    assert [(each.config.name, each.autostart) for each in trees(tmp_path).load()] == [("elm", False), ("oak", True)]
    assert "it defines the tree 'beech'" in caplog.text
    kept.remove("oak")
    assert [each.config.name for each in kept.load()] == ["elm"]


@pytest.mark.parametrize("linked", [False, True], ids=["before the link", "behind it"])
def test_a_rename_that_a_death_cut_short_is_finished_with_its_autostart(layout: Layout, linked: bool) -> None:
    definitions = definitions_of(layout)
    definitions.save(domain("web", WEB))
    definitions.set_autostart("web", on=True)
    os.utime(layout.definitions / "web.xml", ns=(0, 0))
    definitions.save(domain("site", WEB))
    if linked:
        definitions.set_autostart("site", on=True)

    loaded = definitions_of(layout).load()

    assert [(each.config.name, each.autostart) for each in loaded] == [("site", True)]
    assert os.listdir(layout.autostart) == ["site.xml"]


def test_what_an_earlier_daemon_has_read_is_made_out_once_it_is_asked_for(layout: Layout) -> None:
    definitions_of(layout).save(domain("web", WEB))
    assert definitions_of(layout).load()[0].known == domain("web", WEB)  # nobody has begun an index before
    definitions_of(layout).load()
    found = definitions_of(layout).load()[0]
    assert (found.name, found.uuid, found.known, found.config) == ("web", WEB, None, domain("web", WEB))


def test_what_was_written_by_hand_is_read_at_once_and_counts(layout: Layout) -> None:
    definitions_of(layout).save(domain("web", WEB))
    definitions_of(layout).load()
    path = layout.definitions / "web.xml"
    path.write_text(path.read_text().replace("65536", "131072"))
    found = definitions_of(layout).load()[0]
    assert found.known is not None and found.known.memory == 131072


def test_a_long_document_is_read_at_once_as_nobody_could_wait_for_it_later(layout: Layout) -> None:
    long = replace(domain("web", WEB), description="x" * 5000)
    definitions_of(layout).save(long)
    for _ in range(2):
        assert definitions_of(layout).load()[0].known == long


def test_a_known_text_under_another_name_is_set_aside_still(layout: Layout) -> None:
    definitions_of(layout).save(domain("web", WEB))
    definitions_of(layout).load()
    (layout.definitions / "web.xml").rename(layout.definitions / "mail.xml")
    assert names(layout) == []
    assert (layout.definitions / "mail.xml.set-aside").exists()


def test_a_uuid_that_cannot_be_written_down_is_not_taken_for_the_next_daemons(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.definitions.mkdir(parents=True)
    (layout.definitions / "web.xml").write_text(XML.format(name="web", uuid=WEB).replace(f"<uuid>{WEB}</uuid>", ""))

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr("insula.service.definitions.replace_file", refuse)
    for _ in range(2):
        found = definitions_of(layout).load()[0]
        assert found.known is not None and found.known.uuid == found.uuid

"""The table of clients says of each what its tests say, and no more than runs of them have shown."""

from pathlib import Path

import pytest

from tests.clientrecord import (
    CLIENTS,
    PAGE,
    RECORD,
    VERDICTS,
    ClientRecorder,
    Row,
    marks,
    page,
    read,
    taken_over,
    write,
)

NEW = Row(version="2", verdict="works", why="", tests=("tests/e2e/test_go_libvirt.py", "tests/e2e/test_gone.py"))


def test_every_mark_names_a_client_and_a_verdict_and_a_worse_one_its_reason() -> None:
    for client, files in marks().items():
        assert client in CLIENTS
        for verdict, why in files.values():
            assert verdict in VERDICTS and bool(why) == (verdict != VERDICTS[0])


def test_every_client_is_tried_and_recorded_or_it_is_said_why_not() -> None:
    tried, recorded = marks(), read(RECORD)
    for name, client in CLIENTS.items():
        assert bool(client.untried) != (name in tried), name
        assert (name in recorded) == (name in tried), name
    assert recorded.keys() <= CLIENTS.keys()


def test_a_row_says_what_its_tests_say_and_each_of_them_has_passed() -> None:
    tried = marks()
    for client, row in read(RECORD).items():
        worst = max(tried[client].values(), key=lambda said: VERDICTS.index(said[0]))
        assert (row.verdict, row.why) == worst, client
        assert set(row.tests) == set(tried[client]), f"{client}: run them, and python -m tests.clientrecord FILE"
        assert row.version, client


def test_the_page_is_what_the_record_says() -> None:
    assert PAGE.read_text() == page(read(RECORD)), "scripts/build-reference writes it"


def test_a_run_adds_to_the_record_and_what_tries_a_client_no_more_is_dropped() -> None:
    old = Row(version="1", verdict="partly", why="so", tests=("tests/e2e/test_gone_too.py",))
    taken = taken_over({"go-libvirt": old, "nobody's": old}, {"go-libvirt": NEW})
    assert taken == {"go-libvirt": Row(version="2", verdict="works", why="", tests=("tests/e2e/test_go_libvirt.py",))}


def test_what_is_written_is_read_again_and_no_file_is_an_empty_record(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") == {}
    write(tmp_path / "some.json", {"go-libvirt": NEW})
    assert read(tmp_path / "some.json") == {"go-libvirt": NEW}


def test_a_client_with_a_test_that_failed_is_not_told_of(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSULA_TEST_ARTEFACTS", str(pytester.path))
    pytester.makeini("[pytest]\nmarkers = client")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.client('virt-xml')\n@pytest.mark.client('virsh 9')\ndef test_one(): pass\n"
        "@pytest.mark.client('virsh 9')\ndef test_two(): assert False\n"
    )
    pytester.inline_run("-p", "no:cacheprovider", plugins=[ClientRecorder()])
    told = read(pytester.path / "clients.json")
    assert told.keys() == {"virt-xml"} and told["virt-xml"].verdict == "works"

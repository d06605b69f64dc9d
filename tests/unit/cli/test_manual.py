import subprocess
from pathlib import Path

import pytest

from insula.cli import manual
from insula.cli.manual import man_page, pages, reference, with_reference
from insula.cli.verbtable import VERBS

CHECKOUT = Path(__file__).parents[3]


@pytest.mark.parametrize("place", pages(CHECKOUT), ids=str)
def test_what_is_committed_is_what_the_table_of_verbs_makes(place: Path) -> None:
    assert (CHECKOUT / place).read_text() == pages(CHECKOUT)[place], (
        "run scripts/build-reference and commit what it wrote"
    )


def test_every_verb_stands_in_the_reference_and_in_the_man_page() -> None:
    markdown, roff = reference(), man_page()
    for verb in VERBS:
        assert f"### insula {verb.words}\n" in markdown
        assert f".SS insula {verb.words}" in roff


def test_a_pipe_in_a_text_ends_no_cell_of_a_table() -> None:
    assert "`bash\\|zsh\\|fish`" in reference()


def test_only_the_part_that_is_made_is_replaced() -> None:
    page = f"before\n{manual.BEGIN}\nxyzzy\n{manual.END}\nafter\n"
    made = with_reference(page)
    assert made.startswith("before\n") and made.endswith("\nafter\n") and "xyzzy" not in made
    assert with_reference(made) == made


def test_the_script_writes_only_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs/reference").mkdir(parents=True)
    (tmp_path / manual.REFERENCE).write_text(f"{manual.BEGIN}\n{manual.END}\n")
    monkeypatch.setattr("sys.argv", ["manual", str(tmp_path)])
    manual.main()
    assert len(capsys.readouterr().out.splitlines()) == 5
    manual.main()
    assert capsys.readouterr().out == ""


@pytest.mark.requires("groff")
def test_groff_has_nothing_to_say_about_the_man_page() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-rF0", "-z"]
    checked = subprocess.run(command, input=man_page(), capture_output=True, text=True, check=True)
    assert checked.stderr == ""

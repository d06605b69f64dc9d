"""The manual page of the daemon."""

import subprocess
from pathlib import Path

import pytest

from insula.daemon import config, daemonmanual
from insula.daemon.daemonmanual import PAGE, SETTINGS, page
from insula.daemon.entry import command_line

CHECKOUT = Path(__file__).parents[3]


def test_what_is_committed_is_what_the_daemon_says() -> None:
    assert (CHECKOUT / PAGE).read_text() == page(), "run scripts/build-reference and commit what it wrote"


def test_every_setting_is_told_with_what_it_is_without() -> None:
    tables = {
        "": config._TOP,
        "keepalive.": config._KEEPALIVE,
        "console_log.": config._CONSOLE_LOG,
        "ids.": config._IDS,
        "memory.": config._MEMORY,
        "metrics.": config._METRICS,
        "socket.": config._SOCKET,
    }
    keys = {f"{table}{key}" for table, known in tables.items() for key in known} - {*config._TABLES}
    assert set(SETTINGS) == keys
    assert "(default: 5000)" in page() and "(default: /machine)" in page()


def test_every_option_is_told() -> None:
    assert page().count(".TP\n\\fB\\-") == len(command_line()._actions)


def test_the_script_writes_only_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["daemonmanual", str(tmp_path)])
    daemonmanual.main()
    daemonmanual.main()
    assert capsys.readouterr().out == f"{PAGE}\n"


@pytest.mark.requires("groff")
def test_groff_has_nothing_to_say_about_it() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-rF0", "-z"]
    assert subprocess.run(command, input=page(), capture_output=True, text=True, check=True).stderr == ""

"""The busybox root, built without any privilege."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from insula.errors import InvalidArgumentError
from insula.storage.builders.busybox import BusyboxBuilder, is_static
from insula.storage.builders.imagebuilder import Progress, Recipe, Workplace

FAKE = """#!/bin/sh
case "$1" in
    --list-full) printf 'bin/ls\\nsbin/init\\nbin/sh\\nbin/busybox\\nusr/bin/[\\n' ;;
    --help) echo "BusyBox v1.99.0 (test) multi-call binary." ;;
esac
"""


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    (tmp_path / "work").mkdir()
    return Workplace(directory=tmp_path / "work", lock=0, report=lambda _: None)


def build(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: str = "autologin", **options: str
) -> Path:
    """Build with a script that answers like busybox, and passes for static."""
    program = tmp_path / "busybox"
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setattr("insula.storage.builders.busybox.is_static", lambda _: True)
    recipe = Recipe(builder="busybox", options=(("console", console), *options.items()))
    asyncio.run(BusyboxBuilder(str(program)).build(recipe, workplace))
    return workplace.rootfs


def test_every_applet_is_a_link_inside_the_root(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = build(workplace, tmp_path, monkeypatch)
    for applet in ("bin/ls", "sbin/init", "usr/bin/["):
        assert os.readlink(root / applet) == "/bin/busybox"
    assert not (root / "bin/busybox").is_symlink()
    assert (root / "bin/busybox").stat().st_mode & 0o777 == 0o755


def test_root_is_locked_and_secrets_are_closed(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = build(workplace, tmp_path, monkeypatch)
    assert (root / "etc/shadow").read_text().startswith("root:*:")
    assert (root / "etc/shadow").stat().st_mode & 0o007 == 0
    assert (root / "root").stat().st_mode & 0o077 == 0
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


@pytest.mark.parametrize(
    ("console", "expected"), [("autologin", "-l /etc/init.d/autologin"), ("login", "getty 0 console")]
)
def test_the_console_has_what_was_asked_for(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: str, expected: str
) -> None:
    root = build(workplace, tmp_path, monkeypatch, console)
    (line,) = (each for each in (root / "etc/inittab").read_text().splitlines() if each.startswith("console:"))
    assert expected in line
    assert line.startswith("console::respawn:")


def test_scripts_are_executable_and_their_syntax_is_right(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = build(workplace, tmp_path, monkeypatch)
    scripts = [*(root / "etc/init.d").iterdir(), root / "usr/share/udhcpc/default.script"]
    assert len(scripts) == 5
    for script in scripts:
        assert os.access(script, os.X_OK), script
        subprocess.run(["sh", "-n", script], check=True)


def test_it_says_what_it_is(workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build(workplace, tmp_path, monkeypatch)
    assert 'PRETTY_NAME="BusyBox 1.99.0"' in (root / "etc/os-release").read_text()


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Progress] = []
    (tmp_path / "work").mkdir()
    build(Workplace(directory=tmp_path / "work", lock=0, report=seen.append), tmp_path, monkeypatch)
    assert [each.fraction for each in seen] == [0.0, 0.5]


def test_a_dynamic_program_a_script_and_nothing_are_not_static(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "short").write_bytes(b"\x7fELF\x02")
    assert not is_static(Path(sys.executable).resolve())
    assert not is_static(tmp_path / "script")
    assert not is_static(tmp_path / "short")
    assert not is_static(tmp_path / "none")


def test_cards_get_their_addresses_by_dhcp_unless_the_image_is_to_ask_nobody(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = build(workplace, tmp_path, monkeypatch) / "etc/init.d/S20network"
    assert os.access(script, os.X_OK) and "udhcpc" in script.read_text()
    assert os.readlink(workplace.rootfs / "etc/udhcpc/default.script") == "/usr/share/udhcpc/default.script"
    shutil.rmtree(workplace.rootfs)
    assert not (build(workplace, tmp_path, monkeypatch, network="none") / "etc/init.d/S20network").exists()
    recipe = BusyboxBuilder().recipe("busybox", {"network": "none"})
    assert recipe is not None and recipe.option("network", "") == "none"
    with pytest.raises(InvalidArgumentError, match="network"):
        BusyboxBuilder().recipe("busybox", {"network": "static"})


@pytest.mark.requires("busybox")
def test_the_hosts_busybox_static_is_static() -> None:
    assert is_static(Path("/bin/busybox"))


def test_other_sources_and_options_are_refused() -> None:
    assert BusyboxBuilder().recipe("debian-12", {}) is None
    with pytest.raises(InvalidArgumentError, match="no option 'suite'"):
        BusyboxBuilder().recipe("busybox", {"suite": "x"})
    with pytest.raises(InvalidArgumentError, match="expected autologin or login"):
        BusyboxBuilder().recipe("busybox", {"console": "x"})

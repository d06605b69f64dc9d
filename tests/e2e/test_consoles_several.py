"""Further consoles: a login on each without a change to the image, by whichever name clients have for them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.guests import Terminal, copy_tree, domain_xml, inside, insula, insula_terminal, virsh_console
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

CONSOLES = 3


def with_consoles(xml: str, count: int = CONSOLES) -> str:
    return xml.replace("<console type='pty'/>", "<console type='pty'/>" * count)


@pytest.mark.parametrize("release", ["12", "13"])
@pytest.mark.requires("mmdebstrap")
@pytest.mark.timeout(300)
def test_an_unchanged_debian_asks_for_a_login_on_each_console(
    insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path, release: str
) -> None:
    root = copy_tree(debian_root(release), scratch / "root")
    insulad.define(with_consoles(domain_xml("deb", root)))
    insulad.virsh("start", "deb")
    insula(insulad, "wait", "--booted", "--time", "240", "deb")
    for number in range(CONSOLES):
        with virsh_console(insulad, "deb", "--devname", f"console{number}") as console:
            console.expect("login:", 60)
            assert console.leave() == 0


def log_in_twice(first: Terminal, second: Terminal) -> None:
    for console, word in ((first, "one"), (second, "two")):
        console.type("\r")
        console.expect("login: ")
        console.type("root\r")
        console.expect("# ")
        console.type(f"echo from $(tty) {word} | tr a-z A-Z\r")
    first.expect("FROM /DEV/CONSOLE ONE")
    second.expect("FROM /DEV/TTY2 TWO")


def test_a_busybox_with_a_line_more_in_its_inittab_has_another_login(insulad: Insulad, busybox_root: Path) -> None:
    with (busybox_root / "etc/inittab").open("a") as inittab:
        inittab.write("tty2::respawn:/sbin/getty 0 tty2 linux\n")
    insulad.define(with_consoles(domain_xml("bb", busybox_root), 2))
    insulad.virsh("start", "bb")
    with virsh_console(insulad, "bb") as first, insula_terminal(insulad, "console", "bb", "--number", "2") as second:
        second.expect("Connected")
        log_in_twice(first, second)


@pytest.mark.parametrize("name", ["console1", "serial1", "ua-second", "the terminal's path"])
def test_a_console_goes_by_its_place_its_alias_and_its_terminal(
    insulad: Insulad, busybox_root: Path, name: str
) -> None:
    xml = domain_xml("bb", busybox_root)
    second = "<console type='pty'><alias name='ua-second'/></console>"
    insulad.define(xml.replace("<console type='pty'/>", f"<console type='pty'/>{second}"))
    insulad.virsh("start", "bb")
    if name.startswith("the"):
        name = re.findall(r"<console type='pty' tty='(.*?)'", insulad.virsh("dumpxml", "bb").stdout)[1]
    inside(insulad, "bb", "sh", "-c", "echo only here > /dev/tty2")
    log = insulad.layout.logs / "bb.console1.log"
    until(lambda: log.exists() and b"only here" in log.read_bytes(), "the line in the second console's log")
    with virsh_console(insulad, "bb", "--devname", name) as console:
        console.expect("only here")


def test_a_console_that_is_not_there_is_refused_by_its_number(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    refused = insula(insulad, "console", "bb", "--number", "2", check=False)
    assert refused.returncode != 0 and "domain 'bb' has 1 console, so there is no number 2" in refused.stderr
    refused = insula(insulad, "console", "bb", "console1", check=False)
    assert refused.returncode != 0 and "cannot find console device 'console1'" in refused.stderr
    refused = insula(insulad, "console", "bb", "--number", "0", check=False)
    assert refused.returncode == 2 and "the first is 1" in refused.stderr

"""Polkit of the distribution decides: who may connect, what each may do with which domain, and what they see."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml
from tests.insulad import Insulad
from tests.polkithost import PolkitHost
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("polkit", "virsh")

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

MAY_CONNECT = """
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.libvirt.unix.") == 0 && subject.user == "nobody") { return polkit.Result.YES; }
});
"""
MAY_CONNECT_BY = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.libvirt.unix.manage" && subject.user == "nobody") { return polkit.Result.%s; }
});
"""
HAS_ONE = (
    MAY_CONNECT
    + """
polkit.addRule(function(action, subject) {
    if (subject.user != "nobody" || action.id.indexOf("org.libvirt.api.domain.") != 0) { return null; }
    if (action.lookup("connect_driver") != "LXC" || !action.lookup("domain_uuid")) { return polkit.Result.NO; }
    if (action.id == "org.libvirt.api.domain.delete") { return polkit.Result.NO; }
    return action.lookup("domain_name") == "ours" ? polkit.Result.YES : polkit.Result.NO;
});
"""
)
HAS_BY_NAME = (
    MAY_CONNECT
    + """
polkit.addRule(function(action, subject) {
    if (subject.user != "nobody" || action.id.indexOf("org.libvirt.api.domain.") != 0) { return null; }
    return action.lookup("domain_name").indexOf("our") == 0 ? polkit.Result.YES : polkit.Result.NO;
});
"""
)
CONNECTING = 'auth_unix_rw = "polkit"\nauth_unix_ro = "polkit"\n'
EVERYTHING = CONNECTING + 'access_drivers = ["polkit"]\n'


@pytest.fixture
def polkit(insulad: Insulad, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PolkitHost]:
    """Polkit in the daemon's host, on a bus that the daemon will find when it is started again."""
    host = PolkitHost(insulad.host, scratch / "polkit")
    for name, value in host.variables.items():
        monkeypatch.setenv(name, value)
    host.start()
    yield host
    insulad.stop()
    insulad.layout.settings.unlink()
    insulad.start()
    host.close()


def configure(insulad: Insulad, settings: str) -> None:
    """Have the daemon run with these settings, and let ordinary users come as far as its sockets."""
    insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
    insulad.layout.settings.write_text(settings)
    insulad.restart()
    for path in (insulad.prefix, insulad.prefix / "run", insulad.prefix / "run/libvirt"):
        path.chmod(0o755)


def as_nobody(insulad: Insulad, *words: str, read_only: bool = False) -> subprocess.CompletedProcess[str]:
    mode = ("--readonly", "-c", insulad.uri_read_only) if read_only else ("-c", insulad.uri)
    return insulad.host.run(
        *NOBODY, "virsh", *mode, *words,
        check=False, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"}, timeout=patience(90),
    )  # fmt: skip


def test_a_rule_lets_a_user_connect_and_without_it_polkits_own_policy_holds(
    insulad: Insulad, polkit: PolkitHost
) -> None:
    configure(insulad, CONNECTING)
    assert insulad.socket.stat().st_mode & 0o777 == 0o666, "whom polkit is asked about must be able to connect"

    asked = as_nobody(insulad, "uri")
    assert asked.returncode and "no polkit agent available to authenticate action 'org.libvirt.unix.manage'" in (
        asked.stderr
    ), "the policy wants an administrator's password, and nobody is there to be asked for it"
    assert as_nobody(insulad, "uri", read_only=True).returncode == 0, "everybody may look, says the policy"
    assert insulad.virsh("uri").returncode == 0, "root is not asked about"

    polkit.rules(MAY_CONNECT_BY % "NO")
    refused = as_nobody(insulad, "uri")
    assert refused.returncode and "access denied by policy" in refused.stderr

    polkit.rules(MAY_CONNECT_BY % "YES")
    assert as_nobody(insulad, "uri").returncode == 0


def test_a_reload_has_polkit_asked_and_no_more(insulad: Insulad, polkit: PolkitHost, busybox_root: Path) -> None:
    polkit.rules(HAS_ONE)
    configure(insulad, "")
    for name in ("ours", "theirs"):
        insulad.define(domain_xml(name, busybox_root))
    assert as_nobody(insulad, "uri").returncode, "the socket is root's and its group's"

    insulad.layout.settings.write_text(EVERYTHING)
    insulad.reload()
    assert insulad.socket.stat().st_mode & 0o777 == 0o666
    assert as_nobody(insulad, "list", "--all", "--name").stdout.split() == ["ours"]
    polkit.rules(MAY_CONNECT_BY % "NO")
    assert "access denied by policy" in as_nobody(insulad, "uri").stderr

    insulad.layout.settings.write_text(EVERYTHING + 'listen_tls = "yes"\n')
    insulad.reload("the settings stay as they were")
    assert "access denied by policy" in as_nobody(insulad, "uri").stderr

    insulad.layout.settings.write_text("")
    insulad.reload()
    assert insulad.socket.stat().st_mode & 0o777 == 0o660
    assert as_nobody(insulad, "uri").returncode
    assert as_nobody(insulad, "list", "--all", "--name", read_only=True).stdout.split() == ["ours", "theirs"]


def test_a_user_has_and_sees_the_domains_that_the_rules_give(
    insulad: Insulad, polkit: PolkitHost, busybox_root: Path
) -> None:
    polkit.rules(HAS_ONE)
    configure(insulad, EVERYTHING)
    for name in ("ours", "theirs"):
        insulad.define(domain_xml(name, busybox_root))

    assert as_nobody(insulad, "list", "--all", "--name").stdout.split() == ["ours"]
    told = as_nobody(insulad, "domstats", "--state").stdout
    assert "Domain: 'ours'" in told and "theirs" not in told
    assert as_nobody(insulad, "domstate", "ours").stdout.strip() == "shut off"

    for words in (("domstate", "theirs"), ("undefine", "theirs"), ("start", "theirs")):
        refused = as_nobody(insulad, *words)
        assert refused.returncode and "failed to get domain 'theirs'" in refused.stderr
    assert "theirs" in insulad.virsh("list", "--all", "--name").stdout.split()

    definition = insulad.prefix / "run/definition.xml"
    definition.write_text(domain_xml("another", busybox_root))
    definition.chmod(0o644)
    refused = as_nobody(insulad, "define", str(definition))
    assert refused.returncode and "domain:write on domain 'another'" in refused.stderr
    assert as_nobody(insulad, "desc", "ours", "--title", "--config", "mine").returncode == 0
    refused = as_nobody(insulad, "undefine", "ours")
    assert refused.returncode and "denied access: domain:delete on domain 'ours'" in refused.stderr
    for each in insulad.virsh("list", "--all", "--name").stdout.split():
        insulad.virsh("undefine", each)


def test_a_user_defines_what_has_no_uuid_yet_and_lets_nobody_elses_domain_be_started(
    insulad: Insulad, polkit: PolkitHost, busybox_root: Path
) -> None:
    polkit.rules(HAS_BY_NAME)
    configure(insulad, EVERYTHING)
    insulad.define(domain_xml("theirs", busybox_root))
    definition = insulad.prefix / "run/definition.xml"

    def defined(name: str, settings: str = "") -> subprocess.CompletedProcess[str]:
        definition.write_text(domain_xml(name, busybox_root, settings=settings))
        definition.chmod(0o644)
        return as_nobody(insulad, "define", str(definition))

    made = defined("ours")
    assert made.returncode == 0, made.stderr
    uuid = insulad.virsh("domuuid", "ours").stdout.strip()
    needs_theirs = "<insula:depends-on domain='theirs'/>"
    refused = defined("our-other", needs_theirs)
    assert refused.returncode and "domain:start on domain 'theirs'" in refused.stderr
    assert defined("our-other", "<insula:depends-on domain='ours'/>").returncode == 0

    element = f"<domain>{needs_theirs.replace('insula:', '')}</domain>"
    where = ("--uri", "https://insula.dev/xmlns/domain/1", "--key", "insula", "--config")
    refused = as_nobody(insulad, "metadata", "ours", *where, "--set", element)
    assert refused.returncode and "domain:start on domain 'theirs'" in refused.stderr
    refused = as_nobody(insulad, "domrename", "ours", "theirs-too")
    assert refused.returncode and "domain:write on domain 'theirs-too'" in refused.stderr
    assert insulad.virsh("domuuid", "ours").stdout.strip() == uuid
    for each in insulad.virsh("list", "--all", "--name").stdout.split():
        insulad.virsh("undefine", each)


def test_a_user_hears_only_of_the_domains_that_the_rules_give(
    insulad: Insulad, polkit: PolkitHost, busybox_root: Path
) -> None:
    polkit.rules(HAS_ONE)
    configure(insulad, EVERYTHING)
    heard = insulad.prefix / "run/heard"
    with heard.open("wb") as log:
        listening = insulad.host.start(
            *NOBODY, "virsh", "-c", insulad.uri, "event", "--event", "lifecycle", "--loop",
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    try:

        def told() -> str:
            """Define both until the listener has registered, and return what it was told."""
            for name in ("theirs", "ours"):
                insulad.define(domain_xml(name, busybox_root))
                insulad.virsh("undefine", name)
            return heard.read_text()

        until(lambda: told().count("'ours'") >= 2, "events of the user's own domain", 60)
        assert "theirs" not in heard.read_text()
    finally:
        listening.kill()
        listening.wait()


def test_who_cannot_be_asked_says_no_and_root_goes_on(insulad: Insulad, polkit: PolkitHost) -> None:
    polkit.rules(MAY_CONNECT)
    configure(insulad, EVERYTHING)
    assert as_nobody(insulad, "list").returncode == 0

    polkit.stop_polkit()
    refused = as_nobody(insulad, "list")
    assert refused.returncode and "authentication failed: polkit cannot be asked about" in refused.stderr
    polkit.stop_bus()
    refused = as_nobody(insulad, "list")
    assert refused.returncode and "there is no system bus" in refused.stderr
    assert insulad.virsh("list").returncode == 0

    polkit.start()
    assert as_nobody(insulad, "list").returncode == 0, "polkit that is there again is asked again"


def test_a_polkit_that_hangs_holds_up_those_it_is_asked_about_alone(insulad: Insulad, polkit: PolkitHost) -> None:
    polkit.rules(MAY_CONNECT)
    configure(insulad, EVERYTHING)
    polkit.halt_polkit()
    waiting = insulad.host.start(
        *NOBODY, "virsh", "-c", insulad.uri, "list",
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert insulad.virsh("list").returncode == 0
        assert waiting.poll() is None, "nobody was let in meanwhile"
        polkit.resume_polkit()
        assert waiting.wait(patience(60)) == 0
    finally:
        waiting.kill()
        waiting.wait()

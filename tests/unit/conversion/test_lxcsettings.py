from dataclasses import replace

import pytest

from insula.conversion.domaindraft import HOST
from insula.conversion.lxcsettings import init_keys
from insula.engine.policy.capabilities import CapabilityPolicy
from insula.model.domain import DomainDefinition
from insula.model.scalars import OnOff
from tests.unit.conversion.conversions import converted, keys_of

ROOT = "lxc.rootfs.path = /srv/web\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n"


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("lxc-tools", ROOT + text)
    return found.domain, keys_of(found.findings)


def test_what_runs_first_is_told_by_its_keys() -> None:
    domain, findings = _read(
        "lxc.init.cmd = /bin/sh  -c\t'a b\nlxc.init.cwd = /srv\nlxc.init.uid = 7\nlxc.init.gid = 8\n"
        "lxc.environment = A=b=c\nlxc.arch = amd64\nlxc.uts.name = web.example\n"
    )
    assert (str(domain.os.init), domain.os.arguments) == ("/bin/sh", ("-c", "'a", "b"))
    assert (str(domain.os.directory), domain.os.user, domain.os.group, domain.os.type.arch) == (
        "/srv",
        "7",
        "8",
        "x86_64",
    )
    assert [(each.name, each.value) for each in domain.os.environment] == [("A", "b=c")]
    assert (domain.name, domain.settings.hostname, findings) == ("guest", "web.example", set())


def test_capabilities_are_dropped_from_what_every_guest_has_or_kept_of_nothing() -> None:
    domain, findings = _read("lxc.cap.drop = sys_module sys_boot\nlxc.cap.drop = sys_nice\n")
    assert domain.features is not None and domain.features.capabilities is not None
    assert [(each.capability, each.state) for each in domain.features.capabilities.states] == [
        ("sys_boot", OnOff.OFF),
        ("sys_nice", OnOff.OFF),
    ]
    domain, findings = _read("lxc.cap.keep = chown")
    assert domain.features is not None and domain.features.capabilities is not None
    assert domain.features.capabilities.policy is CapabilityPolicy.DENY
    assert findings == set()
    assert _read("lxc.cap.drop = flying")[1] == {"lxc.cap.drop"}


def test_namespaces_are_shared_by_name_or_process() -> None:
    domain, findings = _read("lxc.namespace.share.net = db\nlxc.namespace.share.ipc = 42\nlxc.namespace.keep = uts\n")
    assert domain.lxc is not None and findings == set()
    assert [each and each.type for each in (domain.lxc.network, domain.lxc.ipc)] == ["name", "pid"]
    assert domain.lxc.uts == HOST
    assert _read("lxc.namespace.share.pid = db\nlxc.namespace.keep = user")[1] == {
        "lxc.namespace.share.pid",
        "lxc.namespace.keep",
    }


def test_terminals_and_a_log_are_consoles() -> None:
    domain, findings = _read("lxc.tty.max = 2\nlxc.console.logfile = /var/log/web.log\n")
    first, *others = domain.devices.consoles
    assert first.log is not None and len(others) == 2 and findings == set()


@pytest.mark.parametrize(
    "line",
    [
        "lxc.arch = z80",
        "lxc.init.cmd = a/b",
        "lxc.init.cwd = srv",
        "lxc.environment = HOME",
        "lxc.start.auto = 1",
        "lxc.ephemeral = 1",
        "lxc.tty.max = 1000",
        "lxc.console.logfile = log",
        "lxc.console.path = none",
        "lxc.idmap = x 0 1 2",
        "lxc.idmap = u 0",
        "lxc.autodev = 0",
        "lxc.namespace.share.net = /opt/c3",
    ],
)
def test_what_cannot_be_is_named(line: str) -> None:
    assert _read(line)[1] == {line.partition(" =")[0]}


@pytest.mark.parametrize("line", ["lxc.start.auto = 0", "lxc.ephemeral = 0", "lxc.autodev = 1", "lxc.kmsg = 0"])
def test_what_is_so_anyway_says_nothing(line: str) -> None:
    assert _read(line)[1] == set()


def test_a_container_without_ids_of_its_own_was_privileged_which_a_domain_is_not() -> None:
    found = converted("lxc-tools", "lxc.rootfs.path = /srv/web")
    assert not found.domain.settings.privileged and keys_of(found.findings) == {"lxc.idmap"}


def test_a_program_whose_words_have_spaces_is_not_written_in_part() -> None:
    domain, _ = _read("lxc.init.cmd = /bin/sh -c x")
    assert dict(init_keys(domain)) == {"lxc.init.cmd": "/bin/sh -c x"}
    for words in (("-c", "a b"), ("",)):
        assert dict(init_keys(replace(domain, os=replace(domain.os, arguments=words)))) == {}

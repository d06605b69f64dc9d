"""A libvirt domain becomes what the engine launches."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.engine.facts import Facts
from insula.engine.fragments.environment import DEFAULT_PATH, init_environment
from insula.engine.interfacespec import NetworkKind
from insula.engine.plan.planner import plan
from insula.engine.policy.capabilities import default_kept
from insula.engine.program.late import shape_of
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange, Limits, Namespace, Seccomp, SharedNamespace
from insula.errors import OperationInvalidError, UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.extensions import KernelFeature
from insula.model.scalars import DomainName
from insula.model.settingchecks import check_hostname
from insula.network.guestnetwork import GuestNetwork
from insula.service import translate
from insula.service.translate import Fragments, check, hostname_for, specification
from tests.plans import HYBRID, UNIFIED
from tests.unit.service.fakes import WEB, domain_xml

RANGE = IdRange(inside=0, outside=100000, count=65536)
FRAGMENTS = Fragments(
    root=DirectoryRoot(path="/srv/web"),
    mounts=(),
    idmap=IdMap(uids=(RANGE,), gids=(RANGE,)),
    network=GuestNetwork(kind=NetworkKind.PRIVATE),
    limits=Limits(pids=7),
)
LXC = "xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'"

SETTINGS = "<metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'>"


def pid_of(name: str) -> int:
    if name != "mail":
        raise OperationInvalidError("domain is not running")
    return 4711


def translated(more: str = "", fragments: Fragments = FRAGMENTS, **changes: str) -> ContainerSpec:
    xml = domain_xml(more=more)
    for old, new in changes.items():
        xml = xml.replace({"os": "<type>exe</type>", "vcpu": "<vcpu>2</vcpu>"}[old], new)
    return specification(DomainDefinition.load(xml), fragments, pid_of)


def test_a_plain_domain_is_an_unprivileged_container_with_the_guests_names() -> None:
    spec = translated()

    assert (spec.name, spec.uuid, spec.hostname) == ("web", str(WEB), "web")
    assert spec.idmap == FRAGMENTS.idmap
    assert not spec.privileged
    assert spec.consoles == 1
    assert spec.cgroup.partition == "machine.slice"
    assert spec.limits == FRAGMENTS.limits
    assert spec.capabilities is None
    assert Namespace.TIME not in spec.namespaces


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web", "web"),
        ("web-1.example.org", "web-1.example.org"),
        ("has space", "has-space"),
        ("my_vm", "my-vm"),
        ("<x>&", "x"),
        ("-a-..-b.", "a.b"),
        ("a" * 63 + "-b", "a" * 63),
        ("größe", "gr-e"),
        ("é" * 64, f"guest-{str(WEB)[:8]}"),
        ("..", f"guest-{str(WEB)[:8]}"),
    ],
)
def test_a_domains_name_becomes_a_host_name(name: str, hostname: str) -> None:
    assert hostname_for(DomainName(name), WEB) == hostname


@given(name=st.text(min_size=1))
def test_every_name_becomes_a_host_name_that_could_have_been_asked_for(name: str) -> None:
    more = f"{SETTINGS}<i:hostname>{hostname_for(DomainName(name), WEB)}</i:hostname></i:domain></metadata>"
    assert list(check_hostname(DomainDefinition.load(domain_xml(more=more)))) == []


def test_init_gets_what_libvirt_tells_guests_and_what_the_definition_adds() -> None:
    spec = translated(
        os="<type>exe</type><init>/bin/sh</init><initarg>-c</initarg><initarg>true</initarg>"
        "<initenv name='TERM'>vt100</initenv><initenv name='X'>1 2</initenv>"
        "<initdir>/srv</initdir><inituser>www</inituser><initgroup>33</initgroup>"
    )

    assert spec.init.argv == ("/bin/sh", "-c", "true")
    assert (spec.init.cwd, spec.init.user, spec.init.group) == ("/srv", "www", "33")
    assert dict(init_environment(spec)) == {
        "PATH": DEFAULT_PATH,
        "TERM": "vt100",
        "HOME": "/",
        "container": "lxc-libvirt",
        "container_uuid": str(WEB),
        "LIBVIRT_LXC_UUID": str(WEB),
        "LIBVIRT_LXC_NAME": "web",
        "X": "1 2",
    }


@pytest.mark.parametrize("facts", [UNIFIED, HYBRID])
def test_domains_that_differ_in_names_ids_and_what_variables_say_have_one_program(facts: Facts) -> None:
    variable = "<os><type>exe</type><initenv name='X'>{}</initenv></os>"
    shapes = set()
    for name, uuid, first in (("web", WEB, 100000), ("mail-2", UUID(int=7), 1700000)):
        xml = domain_xml(name, uuid).replace("<os><type>exe</type></os>", variable.format(name))
        ids = replace(RANGE, outside=first)
        fragments = replace(FRAGMENTS, idmap=IdMap(uids=(ids,), gids=(ids,)), root=DirectoryRoot(path=f"/srv/{name}"))
        made = plan(specification(DomainDefinition.load(xml), fragments, pid_of), facts)
        shapes.add((shape_of(made.child_early)[0], shape_of(made.inside)[0]))
        assert variable.format(name) in xml
    assert len(shapes) == 1


def test_the_command_line_of_the_definition_is_told_to_the_guest() -> None:
    spec = translated(os="<type>exe</type><cmdline>console=tty1 quiet</cmdline>")

    assert dict(spec.init.env)["LIBVIRT_LXC_CMDLINE"] == "console=tty1 quiet"


@pytest.mark.parametrize(
    ("capabilities", "kept", "dropped"),
    [
        ("<capabilities policy='default'><sys_chroot state='off'/></capabilities>", "kill", "sys_chroot"),
        ("<capabilities policy='deny'><kill state='on'/></capabilities>", "kill", "chown"),
        ("<capabilities policy='allow'><mknod state='off'/></capabilities>", "sys_time", "mknod"),
    ],
)
def test_capabilities_follow_the_policy_and_its_exceptions(capabilities: str, kept: str, dropped: str) -> None:
    chosen = translated(f"<features>{capabilities}</features>").capabilities

    assert chosen is not None
    assert kept in chosen
    assert dropped not in chosen
    assert chosen != default_kept(privileged=False)


def test_a_partition_is_spelled_as_the_control_groups_are() -> None:
    spec = translated("<resource><partition>/machine/production</partition></resource>")

    assert spec.cgroup.partition == "machine.slice/machine-production.slice"


def test_settings_of_ours_are_honoured() -> None:
    spec = translated(
        "<metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'><i:hostname>www</i:hostname>"
        "<i:nameserver address='10.0.0.1'/>"
        "<i:timens><i:monotonic seconds='5'/><i:boottime seconds='-7'/></i:timens></i:domain></metadata>"
    )

    assert (spec.hostname, spec.nameservers, spec.time_offsets) == ("www", ("10.0.0.1",), (5, -7))
    assert Namespace.TIME in spec.namespaces


def test_what_is_allowed_by_name_reaches_the_filter() -> None:
    words = ("family='can'", "netlink='xfrm'", "transport='sctp'", *(f"feature='{each}'" for each in KernelFeature))
    allowed = "".join(f"<i:allow {word}/>" for word in words)

    assert translated(f"{SETTINGS}{allowed}</i:domain></metadata>").seccomp == Seccomp(
        allow=(
            *("add_key", "keyctl", "request_key"),
            *("io_uring_enter", "io_uring_register", "io_uring_setup", "userfaultfd"),
        ),
        families=("can",),
        netlink=("xfrm",),
        transports=("sctp",),
        upper_layers=True,
        packet_rings=True,
        new_mounts=True,
    )
    assert translated().seccomp == Seccomp()


def test_namespaces_are_shared_by_the_name_of_a_domain_or_a_process() -> None:
    xml = domain_xml(more="<lxc:namespace><lxc:shareipc type='name' value='mail'/><lxc:shareuts type='pid' value='77'/>"
                     "</lxc:namespace>").replace("<domain ", f"<domain {LXC} ")  # fmt: skip
    spec = specification(DomainDefinition.load(xml), FRAGMENTS, pid_of)

    assert spec.shared_namespaces == (
        SharedNamespace(kind=Namespace.IPC, path="/proc/4711/ns/ipc"),
        SharedNamespace(kind=Namespace.UTS, path="/proc/77/ns/uts"),
    )
    with pytest.raises(OperationInvalidError):
        specification(DomainDefinition.load(xml.replace("value='mail'", "value='off'")), FRAGMENTS, pid_of)


def test_no_ids_of_its_own_means_privileged() -> None:
    fragments = Fragments(root=FRAGMENTS.root, mounts=(), idmap=None, network=FRAGMENTS.network)

    assert translated(fragments=fragments).privileged


@pytest.mark.parametrize("model", ["selinux", "apparmor"])
def test_a_security_label_that_the_host_cannot_apply_is_refused(model: str) -> None:
    label = f"<seclabel type='dynamic' model='{model}'/></domain>"
    with pytest.raises(UnsupportedConfigError, match=f"model '{model}' cannot be applied"):
        check(DomainDefinition.load(domain_xml().replace("</domain>", label)))


@pytest.mark.parametrize("label", ["<seclabel type='none'/>", "<seclabel type='none' model='selinux'/>"])
def test_wanting_no_security_label_is_fine(label: str) -> None:
    check(DomainDefinition.load(domain_xml().replace("</domain>", f"{label}</domain>")))


def test_cores_are_kept_where_the_definition_says_in_bytes() -> None:
    dumps = "<i:coredumps pattern='/c/%e'><i:limit unit='KiB'>4</i:limit></i:coredumps>"
    place = translated(f"{SETTINGS}{dumps}</i:domain></metadata>").core_dumps
    assert place is not None and (place.pattern, place.most) == ("/c/%e", 4096)
    place = translated(f"{SETTINGS}<i:coredumps pattern='/c'/></i:domain></metadata>").core_dumps
    assert place is not None and place.most == 512 << 20
    assert translated().core_dumps is None


def test_what_a_devices_vendor_wants_in_the_environment_is_below_what_the_definition_says() -> None:
    fragments = replace(FRAGMENTS, environment=(("HOME", "/vendor"), ("VENDOR", "1")))
    assert dict(translated(fragments=fragments).init.env) == {**dict(translated().init.env), "VENDOR": "1"}


@pytest.mark.parametrize(
    ("label", "profile"),
    [
        ("", None),
        ("<seclabel type='dynamic' model='apparmor'/>", None),
        ("<seclabel type='dynamic'/>", None),
        ("<seclabel type='static' model='apparmor'><label>mine</label></seclabel>", "mine"),
        ("<seclabel type='none' model='apparmor'/>", ""),
        ("<seclabel type='none'/>", ""),
        ("<seclabel type='none' model='selinux'/>", None),
    ],
)
def test_a_label_chooses_the_profile_and_a_host_with_the_module_takes_it(
    monkeypatch: pytest.MonkeyPatch, label: str, profile: str | None
) -> None:
    monkeypatch.setattr(translate, "security_model", lambda: "apparmor")
    domain = DomainDefinition.load(domain_xml().replace("</domain>", f"{label}</domain>"))
    check(domain)
    assert specification(domain, FRAGMENTS, lambda name: 1).profile == profile

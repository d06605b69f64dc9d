from dataclasses import replace

from insula.conversion.findings import Consequence, ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.lxcconfiguration import write_lxc
from insula.conversion.lxcsyntax import lxc_entries
from insula.model.domain import DomainDefinition
from tests.unit.conversion.conversions import converted, keys_of

OLD = """\
# as a distribution's template of LXC 2 made it
lxc.include = /usr/share/lxc/config/debian.common.conf
lxc.rootfs = /var/lib/lxc/web/rootfs
lxc.rootfs.backend = dir
lxc.utsname = web
lxc.tty = 4
lxc.pts = 1024
lxc.id_map = u 0 100000 65536
lxc.id_map = g 0 100000 65536
lxc.cgroup.memory.limit_in_bytes = 512M
lxc.network.type = veth
lxc.network.link = lxcbr0
lxc.network.flags = up
lxc.network.hwaddr = 00:16:3e:01:02:03
lxc.haltsignal = SIGRTMIN+4
lxc.hook.pre-start = /usr/local/bin/prepare
lxc.start.auto = 1
"""
COMMON = """\
lxc.cap.drop = sys_module mac_admin mac_override sys_time
lxc.cgroup.devices.deny = a
lxc.cgroup.devices.allow = c 1:3 rwm
lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed
lxc.seccomp = /usr/share/lxc/config/common.seccomp
"""


def test_a_whole_file_of_old_becomes_a_domain_and_what_it_cannot_say_is_named() -> None:
    others = {"/usr/share/lxc/config/debian.common.conf": COMMON}
    found = converted("lxc-tools", OLD, path="/var/lib/lxc/web/config", called=None, others=others)
    domain = found.domain
    assert (domain.name, domain.memory, len(domain.devices.consoles)) == ("web", 512 * 1024, 5)
    assert str(domain.root and domain.root.source.directory) == "/var/lib/lxc/web/rootfs"
    assert domain.devices.interfaces[0].mac == "00:16:3e:01:02:03"
    assert domain.idmap is not None and domain.idmap.uids[0].target == 100000
    assert keys_of(found.findings) == {
        "lxc.pts",
        "lxc.haltsignal",
        "lxc.hook.pre-start",
        "lxc.start.auto",
        "lxc.seccomp",
    }
    places = {each.key: (each.file, each.line) for each in found.findings}
    assert places["lxc.seccomp"] == ("/usr/share/lxc/config/debian.common.conf", 5)
    assert places["lxc.start.auto"] == ("", 17)


def test_a_container_is_called_by_its_directory_unless_it_is_given_a_name() -> None:
    text = "lxc.rootfs.path = /srv/web\nlxc.uts.name = host\n"
    assert converted("lxc-tools", text, path="/var/lib/lxc/web/config", called=None).domain.name == "web"
    assert converted("lxc-tools", text, path="/var/lib/lxc/web/config", called="db").domain.name == "db"
    assert converted("lxc-tools", text, called=None).domain.name == "host"


def test_no_value_of_a_domain_becomes_a_setting_of_its_own() -> None:
    domain = converted("lxc-tools", "lxc.rootfs.path = /srv/web").domain
    evil = replace(domain.os, directory=domain.os.program.parent / "x\nlxc.hook.start-host = \\x", arguments=("a\nb",))
    text = write_lxc(replace(domain, os=evil), [ConversionFinding(consequence=Consequence.LOST, key="k", why="why")])
    keys = {each.key for each in lxc_entries(ForeignDocument(text=text))}
    assert not [each for each in keys if each.startswith(("lxc.hook", "lxc.init"))]
    assert "# lost: k: why" in text


def test_what_is_written_says_what_it_is_of() -> None:
    domain = DomainDefinition.load(
        "<domain type='lxc'><name>web</name><memory>1024</memory><os><type>exe</type></os></domain>"
    )
    assert write_lxc(domain, ()).startswith("# web, ")

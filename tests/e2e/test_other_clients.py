"""Programs of others on libvirt's library: virt-install and its sisters, and the bindings of other languages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sideload
from tests.e2e.guests import domain_xml, state
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

RUBY = """
require "libvirt"
conn = Libvirt::open(ENV["URI"])
web = conn.lookup_domain_by_name("web")
web.create
puts [conn.type, web.info.state, conn.num_of_domains, conn.num_of_interfaces, conn.num_of_secrets].join(" ")
begin
  conn.lookup_domain_by_name("nobody")
rescue Libvirt::RetrieveError => error
  puts error.libvirt_code
end
begin
  conn.define_domain_xml("<domain")
rescue Libvirt::DefinitionError => error
  puts error.libvirt_code
end
web.destroy
conn.close
"""

PERL = """
use Sys::Virt;
my $conn = Sys::Virt->new(uri => $ENV{URI});
my @domains = $conn->list_all_domains();
my @stats = $conn->get_all_domain_stats(0);
my @interfaces = $conn->list_all_interfaces();
print join(" ", $conn->get_type(), (map { $_->get_name() } @domains), scalar(@stats), scalar(@interfaces)), "\\n";
eval { $conn->get_domain_by_name("nobody") };
print $@->code, "\\n";
"""


def run(insulad: Insulad, *command: str | Path, stdin: str = "") -> str:
    """Return what a program prints; URI in its environment is the daemon's."""
    result = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
        env={**os.environ, "URI": insulad.uri},
    )
    assert result.returncode == 0, f"{result.stderr}\n{result.stdout}\ninsulad's log:\n{insulad.log_text()}"
    return result.stdout


@pytest.mark.requires("virtinst")
@pytest.mark.client("virt-install")
@pytest.mark.client("virt-xml")
@pytest.mark.client("virt-clone")
def test_virt_install_makes_virt_xml_changes_and_virt_clone_copies_a_container(
    insulad: Insulad, busybox_root: Path
) -> None:
    run(
        insulad, "virt-install", "--connect", insulad.uri, "--name", "made", "--memory", "64", "--container",
        "--init", "/sbin/init", "--filesystem", f"{busybox_root},/", "--network", "none", "--noautoconsole",
    )  # fmt: skip
    assert state(insulad, "made") == "running"
    assert "accessmode='mapped'" in insulad.virsh("dumpxml", "made").stdout

    run(insulad, "virt-xml", "--connect", insulad.uri, "made", "--edit", "--memory", "96", "--define")
    insulad.virsh("destroy", "made")
    assert "<memory unit='KiB'>98304</memory>" in insulad.virsh("dumpxml", "made").stdout

    run(insulad, "virt-clone", "--connect", insulad.uri, "-o", "made", "-n", "copied", "--auto-clone")
    insulad.virsh("start", "copied")
    insulad.virsh("destroy", "copied")


@pytest.mark.requires("ruby-libvirt")
@pytest.mark.client("ruby-libvirt")
def test_rubys_binding_starts_a_domain_and_tells_errors_apart(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("web", busybox_root))
    assert run(insulad, "ruby", "-", stdin=RUBY).split("\n") == ["LXC 1 1 0 0", "42", "35", ""]


@pytest.mark.requires("perl-libvirt")
@pytest.mark.client("Sys::Virt (Perl)")
def test_perls_binding_lists_what_there_is_and_what_there_is_not(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("web", busybox_root))
    assert run(insulad, "perl", "-", stdin=PERL).split("\n") == ["LXC web 1 0", "42", ""]


NETCAT = """
import os, select, socket, sys
here = socket.socket(socket.AF_UNIX)
here.connect(sys.argv[-1])
while True:
    for ready in select.select([0, here], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else here.recv(65536)
        if not data:
            sys.exit()
        here.sendall(data) if ready == 0 else os.write(1, data)
"""
"""What `nc -U SOCKET` does."""


def test_virsh_comes_over_ssh_to_the_socket_that_is_named(insulad: Insulad, busybox_root: Path, tmp_path: Path) -> None:
    """ssh runs its last word by the other side's shell; here it does so on this side."""
    (tmp_path / "ssh").write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    (tmp_path / "nc").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{NETCAT}' \"$@\"\n")
    for name in ("ssh", "nc"):
        (tmp_path / name).chmod(0o755)
    insulad.define(domain_xml("web", busybox_root))
    uri = f"lxc+ssh://host/system?command={tmp_path}/ssh&netcat={tmp_path}/nc&socket={insulad.socket}"
    assert "web" in run(insulad, "virsh", "-c", uri, "list", "--all")


@pytest.mark.requires("virt-ssh-helper")
def test_who_comes_over_ssh_without_a_sockets_name_is_led_to_it_by_libvirts_own_helper(
    insulad: Insulad, busybox_root: Path, tmp_path: Path
) -> None:
    """Helper and client are libvirt's; where the daemon of the host listens, ours does here."""
    ssh = tmp_path / "ssh"
    programs = sideload.found("virt-ssh-helper").parent
    ssh.write_text(f'#!/bin/sh\nfor last; do :; done\nPATH=$PATH:{programs} exec sh -c "$last"\n')
    ssh.chmod(0o755)
    insulad.host.run("mkdir", "-p", "/run/libvirt")
    insulad.host.run("mount", "--bind", str(insulad.socket.parent), "/run/libvirt")
    try:
        insulad.define(domain_xml("web", busybox_root))
        uri = f"lxc+ssh://host/system?command={ssh}"
        for words in (("virsh", "-c", uri, "list", "--all"), ("virsh", "--readonly", "-c", uri, "list", "--all")):
            assert "web" in insulad.host.run(*words).stdout
        program = (sys.executable, "-m", "insula", "--connect", uri)
        assert "web" in insulad.host.run(*program, "ls", "--all").stdout
        refused = insulad.host.run(*program, "exec", "web", "--", "true", check=False)
        assert refused.returncode == 125 and "passes open files" in refused.stderr
    finally:
        insulad.host.run("umount", "/run/libvirt")

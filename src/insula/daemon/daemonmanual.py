"""The manual page insulad(8), made of what the daemon itself goes by: its command line, settings, and where files are.

`scripts/build-reference` writes it; a test says when it is not what these say.
"""

import argparse
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from insula.daemon.config import Settings
from insula.daemon.entry import command_line
from insula.daemon.remotesettings import REMOTE_KEYS
from insula.layout import PREFIX_VARIABLE, Layout
from insula.roff import escaped, named, tagged

PAGE = Path("share/man/man8/insulad.8")

DESCRIPTION = (
    "insulad runs Linux system containers and speaks the wire protocol of libvirt, at the sockets where libvirt's own "
    "LXC daemon would. virsh, virt-manager and the libraries of libvirt manage its domains by the URI lxc:///system, "
    "as insula(1) does.",
    "Guests live on when it ends, is killed or is replaced by a newer one; processes beside it hold them. It must be "
    "run by root. One daemon serves an installation; a second one is told which process does.",
    "insulad sasl-user adds, removes and lists who may come with a password, where the settings ask for SASL. The "
    "password is asked for at a terminal, else it is the first line of the standard input; what is kept does not give "
    "it away. It counts from the next time on that somebody wants to come.",
)

SETTINGS: Mapping[str, str] = {
    "log_level": "debug, info, warning or error",
    "max_clients": "connections at once; further ones wait",
    "max_clients_per_user": "of one user other than root; further ones are hung up on",
    "max_client_requests": "a client's calls at once; with more its socket is not read until some are answered",
    "shutdown_timeout": "seconds that a guest may take to stop",
    "partitions": "where in the tree of control groups domains may be: these and all below",
    "confine_vcpus": "whether a domain has as many of the host's processors as virtual ones, if it does not say so",
    "machine_view": "whether a guest reads of a machine of its own (processors, memory, load), if it does not say so",
    "mend_other_firewalls": "whether rules that let networks be may be added to Docker's and others'",
    "max_anonymous_clients": "clients at once that have to prove who they are, and have not yet",
    "auth_unix_rw": "what sockets for changes ask for beside what their mode does: none, polkit or sasl",
    "auth_unix_ro": "the same, for sockets to look only",
    "access_drivers": "who is asked about each permission that a call needs: none, polkit, names of installed drivers",
    "audit_level": "records of what happens: 0 none, 1 in the kernel's audit or else the log, 2 the former only",
    "audit_logging": "whether they are in the log as well",
    "listen_tls": "whether clients from other machines may come, by TLS with certificates",
    "listen_addr": "which of this host's addresses they reach; empty for all",
    "tls_port": "and by which port",
    "ca_file": "the certificate of the authority, whose certificates are known",
    "crl_file": "which of them are revoked; unless it is named, it may be missing",
    "cert_file": "the certificate that says who we are",
    "key_file": "the key of that",
    "tls_allowed_dn_list": "names of clients, with * and ?; none for all that the authority knows",
    "tls_min_version": "1.2 or 1.3",
    "auth_tls": "what is asked for beside a certificate: none or sasl",
    "listen_tcp": "whether clients may come without TLS, encrypted by Kerberos",
    "tcp_port": "and by which port",
    "auth_tcp": "what they are asked for: sasl, or none where listen_addr is of this host alone",
    "sasl_credentials": "what is kept of passwords, for root alone; insulad sasl-user writes it",
    "sasl_keytab": "our key in a Kerberos realm; none without",
    "sasl_allowed_username_list": "names of users, with * and ?; none for all that prove who they are",
    "tls_no_verify_certificate": "always false: whoever comes without a certificate is nobody",
    "keepalive.interval": "seconds of silence before a client that asked for it is pinged; 0 switches it off",
    "keepalive.count": "unanswered pings before the client is given up",
    "console_log.file_bytes": "size at which a file of a console's log is rotated",
    "console_log.old_files": "rotated files of each console's log that are kept",
    "ids.first": "the first of the host's ids that domains are given; else what /etc/subuid and /etc/subgid say",
    "ids.count": "how many of them there are",
    "memory.idle_reclaim": "whether memory that guests do not need is taken from them while the host is short of it",
    "memory.host_free_below": "percent of the host's memory; with less available it is short; 10 unless given",
    "memory.interval": "seconds between two rounds of that; 10 unless given",
    "memory.guarantees": "whether what would guarantee guests more memory than the host has is refused",
    "memory.host_reserve": "MiB of the host's memory that no guest is guaranteed; 1024 unless given",
    "metrics.address": "where metrics are told to Prometheus, a loopback address such as 127.0.0.1:9177; off without",
    "metrics.path": "a socket for them instead, below the prefix unless absolute",
    "metrics.mode": "of that socket",
    "metrics.group": "who may use it besides root",
    "socket.path": "one of [[socket]], which replace the two usual ones; below the prefix unless absolute",
    "socket.mode": "of that socket, such as 0o660",
    "socket.group": "who may use it besides root",
    "socket.read_only": "whether it is for who only looks",
}
"""What each setting is, by its table and key."""

SIGNALS = (
    ("SIGTERM, SIGINT", "end, and leave guests running; what is being done is finished first, for ten seconds at most"),
    ("SIGHUP", "read the settings again; the log names those that have changed and need a restart"),
)
STATUSES = (("0", "it was told to end"), ("2", "settings, or a host, that it cannot work with"))
ENVIRONMENT = (
    (PREFIX_VARIABLE, "as --prefix"),
    (
        "LISTEN_FDS",
        "sockets that systemd passes are used, and left in place: those of virtlxcd.socket, virtlxcd-ro.socket and "
        "virtlxcd-tls.socket",
    ),
    ("NOTIFY_SOCKET", "READY=1 and STOPPING=1 are told there"),
    ("JOURNAL_STREAM", "where it leads to the journal, lines of the log have its priorities"),
)


def page() -> str:
    """insulad(8), in the macros of man(7)."""
    lines = [
        '.TH INSULAD 8 "" Insula "System administration"',
        ".SH NAME",
        r"insulad \- system containers for libvirt clients",
        ".SH SYNOPSIS",
        ".B insulad",
        r"[\fIOPTION\fR ...]",
        ".br",
        ".B insulad sasl-user",
        r"[\fB\-\-prefix \fIDIR\fR] [\fB\-\-config \fIFILE\fR] {\fBadd \fINAME\fR|\fBremove \fINAME\fR|\fBlist\fR}",
        ".SH DESCRIPTION",
    ]
    for each in DESCRIPTION:
        lines += [".PP", escaped(each)]
    lines.append(".SH OPTIONS")
    for action in command_line()._actions:
        value = "" if action.nargs == 0 else str(action.metavar)
        lines += tagged(named(tuple(sorted(action.option_strings, key=len)), value), action.help or "")
    lines += [".SH SETTINGS", escaped(f"{Layout.system().settings}, in TOML; all of it is optional.")]
    for key, meaning in SETTINGS.items():
        default = _default(key)
        lines += tagged(named((key,), ""), meaning if default is None else f"{meaning} (default: {default})")
    for title, table in (
        ("SIGNALS", SIGNALS),
        ("EXIT STATUS", STATUSES),
        ("ENVIRONMENT", ENVIRONMENT),
        ("FILES", _files()),
    ):
        lines.append(f".SH {title}")
        for name, meaning in table:
            lines += tagged(named((name,), ""), meaning)
    lines += [".SH SEE ALSO", ".BR insula (1),", ".BR virsh (1)"]
    return "\n".join(lines) + "\n"


def _default(key: str) -> str | None:
    """What a setting is where nothing is said, None for nothing."""
    place: object = Settings(sockets=())
    if key in REMOTE_KEYS:
        key = f"remote.{REMOTE_KEYS[key][0]}"
    for name in key.split("."):
        place = getattr(place, name, None)
    if isinstance(place, Enum):
        return str(place.value)
    if place in ((), ""):
        return None
    if isinstance(place, tuple):
        return ", ".join(map(str, place))
    return None if place is None else str(place)


def _files() -> tuple[tuple[str, str], ...]:
    places = Layout.system()
    return (
        (str(places.settings), "the settings"),
        (str(places.settings.with_name("sasl-users")), "what is kept of the passwords of SASL, for root alone"),
        (str(places.definitions), "the definitions of domains, and in autostart/ links to those that start with it"),
        (str(places.images), "images"),
        (str(places.clones), "what domains on images have written, by their UUIDs"),
        (str(places.state), "what is to outlive a boot of the host"),
        (str(places.run), "what runs; gone with the host's boot"),
        (f"{places.logs}/NAME.console0.log", "what the console of a domain said"),
        (str(places.socket), "for root, and the group libvirt if there is one"),
        (str(places.socket_read_only), "for everybody who only looks"),
    )


def main() -> None:
    """Write it below the checkout that the first argument names."""
    parser = argparse.ArgumentParser(description="Write the manual page of the daemon.")
    parser.add_argument("checkout", type=Path)
    place = parser.parse_args(sys.argv[1:]).checkout / PAGE
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.is_file() or place.read_text(encoding="utf-8") != page():
        place.write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()

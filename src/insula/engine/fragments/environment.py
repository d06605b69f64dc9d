"""The environment of a guest's init: systemd's container interface, and what libvirt's own driver sets.

Source: systemd's document "The Container Interface", section Environment Variables; libvirt's lxc driver page.
"""

from insula.engine.fragments.notification import NOTIFY_SOCKET
from insula.engine.program.late import Late, late
from insula.engine.spec import ContainerSpec

MANAGER = "lxc-libvirt"
"""What guests take this for: systemd and others know the word, and libvirt's guests expect it."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def init_environment(spec: ContainerSpec) -> list[tuple[str, str]]:
    """Return the variables of init: those of the spec, and before them the interface's that it does not have.

    What they say is no part of a program's shape, but for PATH, which says how many places are tried.
    """
    ours = {
        "PATH": DEFAULT_PATH,
        "TERM": "linux",
        "container": MANAGER,
        "container_uuid": Late(container_uuid(spec)),
        "LIBVIRT_LXC_UUID": Late(spec.uuid),
        "LIBVIRT_LXC_NAME": Late(spec.name),
    }
    if spec.consoles > 1:
        # Without the console's own, and by the names they have in the guest's devpts.
        ours["container_ttys"] = " ".join(f"pts/{number}" for number in range(1, spec.consoles))
    if spec.inherited_fds:
        ours |= {"LISTEN_FDS": str(spec.inherited_fds), "LISTEN_PID": "1"}
    if spec.notifies:
        ours["NOTIFY_SOCKET"] = NOTIFY_SOCKET
    given = {name: value if name == "PATH" else late(value) for name, value in spec.init.env}
    return [*((name, value) for name, value in ours.items() if name not in given), *given.items()]


def container_uuid(spec: ContainerSpec) -> str:
    """Return what systemd inside takes as its machine id at the first boot."""
    return spec.machine_id or spec.uuid

"""How a look's child becomes a running guest's root, with no more rights than that has.

It takes on what the guest's root has (its limits, its ids, its namespaces but for two) and gives up everything else. It
stays in our mount namespace, so that neither a module nor a library is ever found in the guest, and looks paths up from
the guest's root, which no link leads out of (`CONTAINED`); it stays out of the guest's processes, so that none of them
sees it, signals it or finds our interpreter through it.
"""

import os
from collections.abc import Mapping
from typing import Any

from insula.engine.look.runningroot import open_root
from insula.kernel import privileges
from insula.kernel.cgroups import join_all
from insula.kernel.fds import Fd
from insula.kernel.process import NAMESPACE_FLAGS, CloneFlag, set_dumpable, setns

VISITING = frozenset({"chown", "dac_override", "dac_read_search", "fowner", "fsetid"})
"""What the guest's root needs for its files."""
ENTERING = VISITING | {"setgid", "setuid", "sys_admin", "sys_ptrace"}
"""What is needed to become it. setns(2), into a user namespace of somebody else's."""


def visit(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Fd:
    """Become the guest's root; return its root directory.

    arguments: pid, of its init; namespaces: names below /proc/PID/ns. fds: init, a pidfd; stream is passed over; any
    other is of a control group, as `enter.attachment.group_fds` names them. Raises: OSError.
    """
    join_all({name: fd for name, fd in fds.items() if name not in ("init", "stream")})
    root = open_root(arguments["pid"], fds["init"])
    kinds = CloneFlag.NOTHING
    for each in arguments["namespaces"]:
        kinds |= NAMESPACE_FLAGS[each]
    if kinds:
        setns(fds["init"], kinds)
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)
    # A change of ids makes a process dumpable again: proc_pid_coredump_filter(5), PR_SET_DUMPABLE.
    set_dumpable(False)
    kept = VISITING & privileges.held().permitted
    privileges.set_held(privileges.CapabilitySets(effective=kept, permitted=kept, inheritable=frozenset()))
    os.umask(0)
    return root

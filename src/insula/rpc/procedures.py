"""All programs of the wire: libvirt's REMOTE, LXC and KEEPALIVE, and our own INSULA.

    Remote.DOMAIN_GET_STATE                 a row, by name
    procedure(0x20008086, 212)              the same row, by what a packet's header says

Texts called `request`, `plan`, `info`, `images`, `outcome` are JSON.
"""

from typing import Final

from insula.rpc.codes.nativecodes import LOG_LINES_MAX
from insula.rpc.frames import RpcProgram
from insula.rpc.permissions import CHANGE
from insula.rpc.procedure import (
    BOTH,
    HIGH,
    TO_CLIENT,
    Direction,
    Priority,
    Procedure,
    ProcedureTable,
    call,
    event,
)
from insula.rpc.remote import Remote

__all__ = [
    "PROGRAMS",
    "Direction",
    "Insula",
    "Keepalive",
    "Lxc",
    "Priority",
    "Procedure",
    "ProcedureTable",
    "Remote",
    "procedure",
]


class Lxc(ProcedureTable):
    """libvirt's procedures for containers only. Source: lxc_protocol.x."""

    program = RpcProgram.LXC

    DOMAIN_OPEN_NAMESPACE = call(
        1, "dom:dom flags:u", "", "domain:open_namespace", fds=TO_CLIENT, api="virDomainLxcOpenNamespace"
    )


class Keepalive(ProcedureTable):
    """The connection's pulse; both are sent unasked, by either side. Source: virkeepaliveprotocol.x."""

    program = RpcProgram.KEEPALIVE

    PING = event(1, "")
    PONG = event(2, "")


class Insula(ProcedureTable):
    """What libvirt has no words for.

    What only looks is what anybody may ask: nothing a guest said, nothing of the host's files, nothing that costs the
    daemon much. Its permissions are libvirt's: to put a program into a guest is to enter its namespaces.

    DOMAIN_EXEC: request = argv, env, cwd, user, group, tty, rows, columns, capabilities; the call carries descriptors
        0, 1, 2 unless tty, then the reply carries the terminal's master. exec is the handle for the other EXEC_ calls.
    EXEC_WAIT: status is raw, as of wait(2).
    EXEC_EXPLANATION: answers once, when a program that was executed with ExecFlags.TRACED has ended; explanation =
        domain, status, refusals, overlooked, silent (a file system of the guest's did not answer); each refusal has
        call, errno, times, mattered, certain, verdicts; each of those has layer, evidence, change, advice, settle.
    HOST_EXAMINE: checks = daemon, checks; each of those has id, gravity (ok, note, warning, error), found, costs and
        remedy.
    DOMAIN_CONFINEMENT: confinement = domain, held_by; each of those has layer, says, change, refused.
    IMAGE_BUILD: its stream is JSON lines of progress.
    DOMAIN_LOG: since: milliseconds since the epoch, 0 for all; lines: of that the last so many, -1 for all; LogFlags.
    DOMAIN_REMOVE: undefines it, and takes what it wrote on its clone.
    DOMAIN_LIST: flags are libvirt's filter of domains, and ours (ListFlags); domains: a JSON list.
    DOMAIN_PROCESSES: a JSON list; what programs were started with may hold secrets.
    DOMAIN_SET_LIMITS: params and flags are those of libvirt's calls for limits: see `service.owntuning`.
    DOMAIN_LIMITS: a JSON list; see `service.limitoverview`.
    DOMAIN_CONTROL_FILE: of the group of a domain that runs, as the kernel gives it.
    NETWORK_LIST: flags are libvirt's filter of networks; networks: a JSON list.
    NETWORK_OFFER: wanted = mode, subnet, ipv6, in JSON; xml: a definition with free subnets, which is not kept.
    CONFIG_READ: request = text, path, name, others (files that it names, by path); result = xml, findings.
    CONFIG_WRITE: result = text, findings; each of these has consequence, key, line, file, why, advice.
    HOST_DEVICE_CLASSES: classes: a JSON list: what <insula:device> can name here, see `service.deviceoffers`.
    DOMAIN_STOP_ORDER: stages = a JSON list of lists of the names of domains that run: see `service.startorder`.
    DOMAIN_WAIT: answers when the domain stops; outcome = reason, status.
    DOMAIN_WAIT_READY: answers when the domain is ready; an error if it ends before.
    """

    program = RpcProgram.INSULA

    DOMAIN_EXEC = call(
        1, "dom:dom request:s flags:u", "exec:Q pid:i", "domain:open_namespace", fds=BOTH, api="insulaDomainExec"
    )
    EXEC_WAIT = call(2, "exec:Q", "status:i", "domain:open_namespace", api="insulaExecWait")
    EXEC_SIGNAL = call(3, "exec:Q signum:i(64)", "", "domain:send_signal", HIGH, api="insulaExecSignal")
    DOMAIN_PLAN = call(4, "dom:dom flags:u", "plan:s", "domain:read_secure", api="insulaDomainPlan")
    PLAN_XML = call(5, "xml:s flags:u", "plan:s", "connect:write", api="insulaPlanXML")
    IMAGE_LIST = call(6, "flags:u", "images:s", "connect:read", HIGH, api="insulaImageList")
    IMAGE_BUILD = call(7, "name:s recipe:s flags:u", "", "storage_vol:create", stream=TO_CLIENT, api="insulaImageBuild")
    IMAGE_REMOVE = call(8, "name:s flags:u", "", "storage_vol:delete", api="insulaImageRemove")
    DOMAIN_INFO = call(9, "dom:dom flags:u", "info:s", "domain:read", api="insulaDomainInfo")
    DOMAIN_LOG = call(
        18,
        f"dom:dom source:s since:Q lines:i(-1,{LOG_LINES_MAX}) flags:u",
        "",
        "domain:open_device",
        stream=TO_CLIENT,
        api="insulaDomainLog",
    )
    DOMAIN_WAIT = call(11, "dom:dom flags:u", "outcome:s", "domain:read", api="insulaDomainWait")
    CONSOLE_RESIZE = call(
        12,
        "dom:dom device:s? rows:u(65535) columns:u(65535)",
        "",
        "domain:open_device",
        HIGH,
        api="insulaConsoleResize",
    )
    DOMAIN_REMOVE = call(14, "dom:dom flags:u", "", "domain:delete", HIGH, api="insulaDomainRemove")
    DOMAIN_LIST = call(15, "flags:u", "domains:s", "connect:search_domains", api="insulaDomainList")
    IMAGE_TAG = call(17, "name:s another:s flags:u", "", "storage_vol:create", api="insulaImageTag")
    DOMAIN_PROCESSES = call(16, "dom:dom flags:u", "processes:s", "domain:read_secure", api="insulaDomainProcesses")
    DOMAIN_SET_LIMITS = call(19, "dom:dom params:P<16> flags:u", "", CHANGE, api="insulaDomainSetLimits")
    NETWORK_LIST = call(20, "flags:u", "networks:s", "connect:search_networks", api="insulaNetworkList")
    NETWORK_INFO = call(21, "net:net flags:u", "info:s", "network:read", api="insulaNetworkInfo")
    NETWORK_OFFER = call(22, "name:s wanted:s flags:u", "xml:s", "network:write", api="insulaNetworkOffer")
    CONFIG_READ = call(23, "format:s request:s flags:u", "result:s", "connect:write", api="insulaConfigRead")
    CONFIG_WRITE = call(24, "format:s xml:s flags:u", "result:s", "connect:write", api="insulaConfigWrite")
    DOMAIN_START_WITH_DEPENDENCIES = call(
        26, "dom:dom flags:u", "dom:dom", "domain:start", api="insulaDomainStartWithDependencies"
    )
    DOMAIN_WAIT_READY = call(25, "dom:dom flags:u", "", "domain:read", api="insulaDomainWaitReady")
    DOMAIN_STOP_ORDER = call(27, "flags:u", "stages:s", "connect:search_domains", api="insulaDomainStopOrder")
    EXEC_EXPLANATION = call(40, "exec:Q", "explanation:s", "domain:open_namespace", api="insulaExecExplanation")
    DOMAIN_CONFINEMENT = call(
        41, "dom:dom flags:u", "confinement:s", "domain:open_namespace", api="insulaDomainConfinement"
    )
    DOMAIN_LIMITS = call(29, "dom:dom flags:u", "limits:s", "domain:read", api="insulaDomainLimits")
    DOMAIN_CONTROL_FILE = call(
        30, "dom:dom key:s flags:u", "text:s", "domain:read_secure", api="insulaDomainControlFile"
    )
    HOST_EXAMINE = call(42, "flags:u", "checks:s", "connect:write", api="insulaHostExamine")
    HOST_DEVICE_CLASSES = call(50, "flags:u", "classes:s", "connect:write", api="insulaHostDeviceClasses")
    DAEMON_INFO = call(13, "flags:u", "info:s", "connect:read", HIGH, api="insulaDaemonInfo")


PROGRAMS: Final[dict[int, type[ProcedureTable]]] = {table.program: table for table in (Remote, Lxc, Keepalive, Insula)}


def procedure(program: int, number: int) -> Procedure | None:
    """The row that a packet's header names, or None if there is no such program or procedure."""
    table = PROGRAMS.get(program)
    return table.rows.get(number) if table is not None else None

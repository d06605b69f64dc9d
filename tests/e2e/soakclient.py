"""A client of a soak on libvirt's library: one long connection, events, verbs by a seed until its input ends.

Run by the distribution's Python: `soakclient.py URI SEED`. Prints `asked N VERB`, `refused N CODE` and `heard N EVENT`.
"""

import random
import select
import sys
import threading
import time
from collections import Counter
from typing import Any

import libvirt

VERBS = (
    "create", "create", "create", "destroy", "suspend", "resume", "resume", "reboot", "shutdown", "reset", "info",
    "XMLDesc", "memoryStats", "vcpus", "interfaceAddresses", "isActive", "metadata", "jobInfo", "hostname", "state",
)  # fmt: skip
ARGUMENTS = {
    "reboot": (0,),
    "reset": (0,),
    "XMLDesc": (0,),
    "interfaceAddresses": (2, 0),
    "hostname": (0,),
    "state": (0,),
    "metadata": (0, None),
}
LOST = (38, 39, 1)
"""Numbers of errors that tell of a connection that is no more: system, RPC, and libvirt's own internal one."""


def main() -> None:
    uri, seed = sys.argv[1:]
    chance, asked, refused = random.Random(f"{seed}/bound"), Counter[str](), Counter[str]()
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, daemon=True).start()
    conn: Any = None
    heard = Counter[str]()
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        if conn is None:
            conn = connected(uri, heard)
            continue
        try:
            verb = one(conn, chance)
        except libvirt.libvirtError as error:
            refused[f"{error.args[0][:100] if error.get_error_code() == 1 else error.get_error_code()}"] += 1
            if not conn.isAlive() or error.get_error_code() in LOST:
                close(conn)
                conn = None
        else:
            asked[verb] += 1
    if conn is not None:
        close(conn)
    for kind, counter in (("asked", asked), ("refused", refused), ("heard", heard)):
        for text, number in counter.items():
            print(kind, number, text)


def one(conn: Any, chance: random.Random) -> str:
    """Ask something; return what."""
    if chance.random() < 0.1:
        conn.getAllDomainStats()
        return "getAllDomainStats"
    domains = conn.listAllDomains()
    if not domains:
        return "listAllDomains"
    domain, verb = chance.choice(domains), chance.choice(VERBS)
    getattr(domain, verb)(*ARGUMENTS.get(verb, ()))
    return verb


def connected(uri: str, heard: "Counter[str]") -> Any:
    """Return a connection that hears lifecycle and device events; None while there is none."""
    try:
        conn = libvirt.open(uri)
        conn.setKeepAlive(5, 6)
        conn.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *_: heard.update(["life"]), None
        )
        conn.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, lambda *_: heard.update(["added"]), None
        )
    except libvirt.libvirtError:
        time.sleep(0.2)
        return None
    return conn


def close(conn: Any) -> None:
    try:
        conn.close()
    except libvirt.libvirtError:
        return


if __name__ == "__main__":
    main()

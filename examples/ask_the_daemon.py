"""Define a domain that lives on without this program, start it, run something in it, and hear what happens to it.

    ask_the_daemon.py ROOT

The daemon is the one that `INSULA_PREFIX` names, else the system's.
"""

import os
import sys

import insula

XML = """\
<domain type='lxc'>
  <name>example</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os><type>exe</type><init>/bin/sleep</init><initarg>3600</initarg></os>
  <devices>
    <filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>
    <console type='pty'/>
  </devices>
</domain>
"""


def main(root: str) -> None:
    with insula.connect() as host, host.lifecycle() as happenings:
        domain = host.define(XML.format(root=os.path.abspath(root)))
        try:
            domain.start()
            print(f"it is {domain.state().state.name.lower()}")
            running = domain.execute(insula.ExecRequest(("sh", "-c", "echo from $(hostname); exit 7")))
            print(f"the program ended with {os.waitstatus_to_exitcode(running.wait())}")
            domain.destroy()
        finally:
            domain.undefine()
        for _ in range(3):
            if (happened := happenings.next(timeout=60)) is not None:
                print(f"{happened.domain.name}: {happened.event.name.lower()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])

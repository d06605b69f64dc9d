"""Talk with a program inside line by line, and show it a directory of the host while it runs.

talk_with_a_program.py ROOT DIRECTORY
"""

import subprocess
import sys

from insula import Access, BindMount, Container


def main(root: str, directory: str) -> None:
    with Container(root, init=["/bin/sleep", "3600"], ephemeral=True) as guest:
        guest.attach_mount(BindMount(source=directory, target="/srv/shown", access=Access.READ_ONLY))
        with guest.popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            for line in ("echo $(ls /srv/shown)", "touch /srv/shown/new 2>/dev/null || echo it cannot be changed"):
                shell.stdin.write(f"{line}\n")
                print(f"{line}: {shell.stdout.readline().strip()}")
            shell.stdin.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

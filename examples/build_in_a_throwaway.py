"""Build something in a container that leaves nothing behind, and bring the result out.

    build_in_a_throwaway.py ROOT TARGET

ROOT: a directory with a root file system; with an image of `insula image build` write `Container(image="debian-12")`.
"""

import sys

from insula import Container

RECIPE = """\
#!/bin/sh
set -e
mkdir /tmp/site
for page in one two three; do echo "<h1>$page</h1>" > "/tmp/site/$page.html"; done
tar -c -f /tmp/site.tar -C /tmp site
"""


def main(root: str, target: str) -> None:
    with Container(root, init=["/bin/sleep", "3600"], ephemeral=True, memory=256 << 20, pids=100) as guest:
        with guest.open("/tmp/recipe", "w") as file:
            file.write(RECIPE)
        done = guest.run(["sh", "/tmp/recipe"], text=True, timeout=600)
        if done.returncode != 0:
            sys.exit(f"the build failed:\n{done.stderr}")
        # A guest could claim that its file is larger than any disk.
        guest.get("/tmp/site.tar", target, most=100 << 20)
    print(f"built {target}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

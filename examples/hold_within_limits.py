"""Give a program so much memory and no more, change that while it runs, and see why it ended.

hold_within_limits.py ROOT
"""

import sys

from insula import Bytes, Container, Limits

GREEDY = "text=12345678; while :; do text=$text$text; done"


def main(root: str) -> None:
    greedy = Container(root, init=["/bin/sh", "-c", GREEDY], ephemeral=True, memory=16 << 20)
    greedy.start()
    status = greedy.wait(timeout=600)
    print(f"it ended: {status}")
    if status.out_of_memory:
        print(f"the kernel killed {greedy.stats().oom_kills} of its processes")
    greedy.destroy()

    with Container(root, init=["/bin/sleep", "3600"], ephemeral=True, memory=32 << 20) as guest:
        guest.limit(Limits(memory=Bytes(64 << 20), pids=50))
        held = guest.limits()
        print(f"now it may have {held.memory} bytes and {held.tasks} tasks")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])

"""Run the same check in many containers at once, from a program with an event loop.

many_at_once.py ROOT COUNT
"""

import asyncio
import sys

from insula import AsyncContainer


async def check(root: str, name: str) -> str:
    async with AsyncContainer(root, name=name, init=["/bin/sleep", "3600"], ephemeral=True, pids=50) as guest:
        # What takes too long is cancelled, and its program killed with it.
        async with asyncio.timeout(600):
            done = await guest.run(["sh", "-c", "echo $(hostname) is fine"], text=True, check=True)
        return done.stdout.strip()


async def main(root: str, count: int) -> None:
    for line in await asyncio.gather(*(check(root, f"worker-{number}") for number in range(count))):
        print(line)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

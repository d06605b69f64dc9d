"""A process of several threads that stands for a guest's, and a directory that stands for its control group."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
import threading, time
remembered = bytes(range(256)) * 4096
for _ in range(3):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("up", flush=True)
time.sleep(1000)
"""
LEADERLESS = """
import ctypes, os, threading, time
remembered = bytes(range(256)) * 4096
def go_on():
    print("up", flush=True)
    time.sleep(1000)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)  # exit(2), of this thread alone
"""
REMEMBERED = bytes(range(256)) * 4096


@contextmanager
def running(program: str = PROGRAM) -> Iterator["subprocess.Popen[str]"]:
    made = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    try:
        assert made.stdout.readline() == "up\n"
        yield made
    finally:
        made.kill()
        made.wait()
        made.stdout.close()


def group_of(directory: Path, *pids: int) -> str:
    """Make directory list processes as one of control groups does; return its path."""
    (directory / "cgroup.procs").write_text("".join(f"{each}\n" for each in pids))
    return str(directory)


def states(pid: int) -> set[str]:
    """Return the states of a process' threads: `t` for one that is traced and stands still."""
    found = set[str]()
    for tid in os.listdir(f"/proc/{pid}/task"):
        found.add(Path(f"/proc/{pid}/task/{tid}/stat").read_text().rpartition(")")[2].split()[0])
    return found

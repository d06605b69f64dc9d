"""What is inherited of how a process is scheduled, in a process that was given all of it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.waiting import patience

CODE = """
import ctypes, json, os, sys
library = ctypes.CDLL(None, use_errno=True)
os.setpriority(os.PRIO_PROCESS, 0, 7)
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
everything = os.sched_getaffinity(0)
os.sched_setaffinity(0, {min(everything)})
library.prctl(29, ctypes.c_ulong(1000000), 0, 0, 0)
library.prctl(41, ctypes.c_ulong(1), 0, 0, 0)
library.personality(ctypes.c_ulong(0x0040000))
from insula.kernel.ordinary import _IO_SET, become_ordinary
number = _IO_SET[os.uname().machine]
library.syscall(number, 1, 0, 3 << 13)
def told():
    return {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "policy": os.sched_getscheduler(0),
        "processors": len(os.sched_getaffinity(0)),
        "slack": library.prctl(30, 0, 0, 0, 0),
        "small pages": library.prctl(42, 0, 0, 0, 0),
        "personality": library.personality(ctypes.c_ulong(0xFFFFFFFF)),
        "io": library.syscall(number + 1, 1, 0),
    }
before = told()
become_ordinary()
print(json.dumps({"before": before, "after": told(), "all": len(everything)}))
"""


def test_a_process_that_inherited_much_is_scheduled_as_any(tmp_path: Path) -> None:
    told = json.loads(
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, timeout=patience(60)).stdout
    )
    before, after = told["before"], told["after"]
    assert (before["nice"], before["policy"], before["slack"], before["io"]) == (7, 3, 1_000_000, 3 << 13)
    assert after["processors"] >= told["all"]
    del after["processors"]
    # An io class of none is told as the one that the nice value means.
    assert after.pop("io") in (0, (2 << 13) | 4)
    assert after == {"nice": 0, "policy": 0, "slack": 50_000, "small pages": 0, "personality": 0}

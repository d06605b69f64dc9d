"""A terminated session takes its fixtures down; what it forked just ends."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import patience

CHECKOUT = Path(__file__).parents[3]
SESSION = """
import asyncio, os, signal, time
from tests.termination import end_as_if_interrupted

async def stubborn():
    while True:
        try:
            print("busy", flush=True)
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

end_as_if_interrupted()
child = os.fork()
if child == 0:
    time.sleep(1000)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    asyncio.new_event_loop().run_until_complete(stubborn())
except KeyboardInterrupt:
    print("tidied", flush=True)
    os._exit(0)
"""


def test_a_terminated_session_is_interrupted_whatever_its_tasks_refuse_and_its_children_end() -> None:
    command = (sys.executable, "-c", SESSION)
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout
        said = [session.stdout.readline().strip() for _ in range(2)]
        session.send_signal(signal.SIGTERM)
        rest, _ = session.communicate(timeout=patience(60))
    assert (*said, rest.strip(), session.returncode) == (str(-signal.SIGTERM), "busy", "tidied", 0)

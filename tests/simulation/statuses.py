"""How the inits of guests end, as wait(2) has it."""

from tests.simulation.model import End

EXITED, CRASHED, REBOOTED, POWERED_OFF, KILLED = 0, 0x0100, 1, 2, 9

ENDS = {
    EXITED: End.SHUTDOWN,
    CRASHED: End.CRASHED,
    REBOOTED: End.REBOOTED,
    POWERED_OFF: End.SHUTDOWN,
    KILLED: End.CRASHED,
}
"""What init's wait status tells, unless it was asked for something."""

"""How a run ended, what that makes of the domain, and what follows: three tables."""

from insula.engine.exitstatus import ExitMeaning, ExitStatus
from insula.model.boot import CrashAction, OffAction
from insula.model.domain import DomainDefinition
from insula.model.domainstates import TRANSITIONS, Happening, StateWithReason
from insula.service.pastruns import Past
from insula.service.runrecord import KILLED, Next, StopReason


def how_it_ended(status: ExitStatus, asked: StopReason | None = None) -> StopReason:
    """Return why the guest's init is gone. asked: what it had been asked for by us, if anything.

    A program that returned anything but 0, or that a signal ended, has crashed; but one that was asked to go has done
    so whatever it returned, and if nobody can know how it ended. What the guest told the kernel by reboot(2) counts
    more than what we asked, but for one that was killed by us and took its time.
    """
    if asked in KILLED:
        return asked
    if status.meaning not in (ExitMeaning.EXITED, ExitMeaning.UNKNOWN):
        return _BY_MEANING[status.meaning]
    if asked is not None:
        return asked
    if status.meaning is ExitMeaning.UNKNOWN:
        return StopReason.UNKNOWN
    return StopReason.SHUTDOWN if status.code == 0 else StopReason.CRASHED


_BY_MEANING = {
    ExitMeaning.POWERED_OFF: StopReason.SHUTDOWN,
    ExitMeaning.REBOOTED: StopReason.REBOOTED,
    ExitMeaning.KILLED: StopReason.CRASHED,
}


def what_follows(domain: DomainDefinition, reason: StopReason) -> Next:
    """Return what domain's on_poweroff, on_reboot or on_crash wants after this end.

    What was destroyed stays off, and so does what ended for a reason we do not know: a restart could be against
    the guest's own wish. What was reset starts again, whatever a reboot of its own would do. Renaming before a restart,
    and dumping core before either, are things we do not do.
    """
    match reason:
        case StopReason.SHUTDOWN:
            return _AFTER_OFF[domain.on_poweroff]
        case StopReason.REBOOTED:
            return _AFTER_OFF[domain.on_reboot]
        case StopReason.RESET:
            return Next.RESTART
        case StopReason.CRASHED:
            return _AFTER_CRASH[domain.on_crash]
        case _:
            return Next.OFF


_AFTER_OFF = {
    OffAction.DESTROY: Next.OFF,
    OffAction.RESTART: Next.RESTART,
    OffAction.RENAME_RESTART: Next.RESTART,
    OffAction.PRESERVE: Next.PRESERVE,
}
_AFTER_CRASH = {
    CrashAction.DESTROY: Next.OFF,
    CrashAction.COREDUMP_DESTROY: Next.OFF,
    CrashAction.RESTART: Next.RESTART,
    CrashAction.COREDUMP_RESTART: Next.RESTART,
    CrashAction.RENAME_RESTART: Next.RESTART,
    CrashAction.PRESERVE: Next.PRESERVE,
}


def happening_of(reason: StopReason, then: Next = Next.OFF) -> Happening:
    """Return what the end of a run for this reason is, when it is not a reboot, and what follows it."""
    if then is Next.PRESERVE and reason is StopReason.CRASHED:
        return Happening.CRASHED_KEPT
    return _HAPPENINGS[reason]


_HAPPENINGS = {
    StopReason.SHUTDOWN: Happening.SHUT_DOWN,
    StopReason.REBOOTED: Happening.SHUT_DOWN,
    StopReason.RESET: Happening.DESTROYED,
    StopReason.DESTROYED: Happening.DESTROYED,
    StopReason.CRASHED: Happening.CRASHED,
    StopReason.FAILED: Happening.FAILED,
    StopReason.UNKNOWN: Happening.LOST,
}


def state_left_by(past: Past) -> StateWithReason:
    """Return the state of a domain that is off, by what is known of its past."""
    if past.failure is not None or past.end is None:
        return TRANSITIONS[Happening.START_FAILED].after
    return state_after(past.end.reason, Next.OFF)


def state_after(reason: StopReason, then: Next) -> StateWithReason:
    """Return the state of a domain whose run ended for this reason."""
    return TRANSITIONS[happening_of(reason, then)].after

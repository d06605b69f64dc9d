"""How a run ended, and what follows."""

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.model.domain import DomainDefinition
from insula.model.domainstates import DomainState, Happening, ShutoffReason
from insula.service.endings import happening_of, how_it_ended, state_after, state_left_by, what_follows
from insula.service.pastruns import Past, RunEnd, StartFailure
from insula.service.runrecord import Next, StopReason
from tests.unit.service.fakes import domain_xml


@pytest.mark.parametrize(
    ("status", "asked", "reason"),
    [
        (0x0000, None, StopReason.SHUTDOWN),
        (0x0700, None, StopReason.CRASHED),
        (0x0700, StopReason.SHUTDOWN, StopReason.SHUTDOWN),
        (0x8F00, StopReason.REBOOTED, StopReason.REBOOTED),
        (1, None, StopReason.REBOOTED),
        (1, StopReason.SHUTDOWN, StopReason.REBOOTED),
        (2, None, StopReason.SHUTDOWN),
        (2, StopReason.REBOOTED, StopReason.SHUTDOWN),
        (9, None, StopReason.CRASHED),
        (9, StopReason.SHUTDOWN, StopReason.CRASHED),
        (139, None, StopReason.CRASHED),
        (9, StopReason.DESTROYED, StopReason.DESTROYED),
        (9, StopReason.RESET, StopReason.RESET),
        (None, StopReason.RESET, StopReason.RESET),
        (None, None, StopReason.UNKNOWN),
        (None, StopReason.SHUTDOWN, StopReason.SHUTDOWN),
        (None, StopReason.REBOOTED, StopReason.REBOOTED),
    ],
)
def test_what_the_guest_told_the_kernel_counts_more_than_what_was_asked(
    status: int | None, asked: StopReason | None, reason: StopReason
) -> None:
    assert how_it_ended(ExitStatus(status=status), asked) is reason


@pytest.mark.parametrize("reason", [StopReason.DESTROYED, StopReason.FAILED, StopReason.UNKNOWN])
def test_what_was_destroyed_or_is_not_understood_is_never_restarted(reason: StopReason) -> None:
    everything = "<on_poweroff>restart</on_poweroff><on_reboot>restart</on_reboot><on_crash>restart</on_crash>"

    assert what_follows(DomainDefinition.load(domain_xml(more=everything)), reason) is Next.OFF


def test_what_was_reset_starts_again_whatever_its_own_reboot_would_do() -> None:
    nothing = "<on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>"
    assert what_follows(DomainDefinition.load(domain_xml(more=nothing)), StopReason.RESET) is Next.RESTART
    assert state_after(StopReason.RESET, Next.RESTART).reason is ShutoffReason.DESTROYED


def test_every_end_of_every_definition_has_an_answer() -> None:
    for action in ("destroy", "restart", "preserve", "rename-restart"):
        more = f"<on_poweroff>{action}</on_poweroff><on_reboot>{action}</on_reboot><on_crash>{action}</on_crash>"
        domain = DomainDefinition.load(domain_xml(more=more))
        answers = {
            what_follows(domain, reason) for reason in (StopReason.SHUTDOWN, StopReason.REBOOTED, StopReason.CRASHED)
        }
        assert len(answers) == 1


def test_a_preserved_crash_is_a_state_of_its_own() -> None:
    assert happening_of(StopReason.CRASHED, Next.PRESERVE) is Happening.CRASHED_KEPT
    assert state_after(StopReason.CRASHED, Next.PRESERVE).state is DomainState.CRASHED
    assert state_after(StopReason.CRASHED, Next.OFF).state is DomainState.SHUTOFF
    assert state_after(StopReason.REBOOTED, Next.RESTART).reason is ShutoffReason.SHUTDOWN


def test_a_domain_that_is_off_is_so_for_the_reason_that_was_kept() -> None:
    end = RunEnd(reason=StopReason.CRASHED, status=9, oom_kills=0, begun=0.0, ended=1.0)
    assert state_left_by(Past(end=end)).reason is ShutoffReason.CRASHED
    assert state_left_by(Past(end=end, failure=StartFailure(text="x", at=2.0))).reason is ShutoffReason.FAILED

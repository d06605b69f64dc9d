"""Tests of insula.service.lifecycleactions."""

import pytest

from insula.errors import InvalidArgumentError
from insula.model.boot import CrashAction, OffAction
from insula.model.domain import DomainDefinition
from insula.model.numbers import LifecycleType
from insula.service.lifecycleactions import with_action
from tests.unit.service.fakes import domain_xml

DOMAIN = DomainDefinition.load(domain_xml())


@pytest.mark.parametrize("action", OffAction)
def test_each_occasion_has_its_own_action(action: OffAction) -> None:
    wanted = CrashAction(action.value)
    off = with_action(DOMAIN, occasion=LifecycleType.POWEROFF, action=wanted)
    assert (off.on_poweroff, off.on_reboot, off.on_crash) == (action, DOMAIN.on_reboot, DOMAIN.on_crash)
    reboot = with_action(DOMAIN, occasion=LifecycleType.REBOOT, action=wanted)
    assert (reboot.on_poweroff, reboot.on_reboot, reboot.on_crash) == (DOMAIN.on_poweroff, action, DOMAIN.on_crash)
    crash = with_action(DOMAIN, occasion=LifecycleType.CRASH, action=wanted)
    assert (crash.on_poweroff, crash.on_reboot, crash.on_crash) == (DOMAIN.on_poweroff, DOMAIN.on_reboot, wanted)


@pytest.mark.parametrize("action", [CrashAction.COREDUMP_DESTROY, CrashAction.COREDUMP_RESTART])
def test_a_core_is_dumped_after_crashes_only(action: CrashAction) -> None:
    assert with_action(DOMAIN, occasion=LifecycleType.CRASH, action=action).on_crash is action
    for occasion in (LifecycleType.POWEROFF, LifecycleType.REBOOT):
        with pytest.raises(InvalidArgumentError, match="follows crashes only; take one of destroy, restart"):
            with_action(DOMAIN, occasion=occasion, action=action)

"""What the settings may say of the memory of all guests together."""

from insula.daemon.memorysettings import NO_CARE, MemorySettings, memory_settings
from insula.model.sizes import KiB
from insula.service.idlereclaim import IdleReclaimSettings


def test_all_is_off_unless_it_is_asked_for() -> None:
    assert memory_settings({}) == NO_CARE == MemorySettings(idle=None, guaranteed_reserve=None)
    said = {"idle_reclaim": False, "host_free_below": 20, "interval": 5, "guarantees": False, "host_reserve": 1}
    assert memory_settings(said) == NO_CARE


def test_what_is_not_said_is_as_usual() -> None:
    found = memory_settings({"idle_reclaim": True, "guarantees": True})
    assert found == MemorySettings(idle=IdleReclaimSettings(), guaranteed_reserve=KiB(1024 * 1024))
    assert memory_settings({"guarantees": True, "host_reserve": 0}).guaranteed_reserve == 0


def test_what_is_said_holds() -> None:
    found = memory_settings({"idle_reclaim": True, "host_free_below": 20, "interval": 5})
    assert found.idle == IdleReclaimSettings(interval=5, host_free_below=20)

import pytest

from insula.engine.policy.capabilities import HOST_ONLY, PAST_THE_CONTAINER, CapabilityPolicy, default_kept, kept
from insula.errors import InvalidArgumentError
from insula.kernel.privileges import CAPABILITIES


def test_every_capability_that_is_taken_exists() -> None:
    assert (HOST_ONLY | PAST_THE_CONTAINER).keys() <= set(CAPABILITIES)


def test_an_unprivileged_system_keeps_what_it_administrates_itself_with() -> None:
    names = default_kept(privileged=False)
    assert {"sys_admin", "net_admin", "sys_boot", "setpcap", "mknod", "audit_write", "sys_chroot"} <= names
    assert not names & {"sys_module", "sys_rawio", "sys_time", "bpf"}


def test_a_privileged_system_keeps_less() -> None:
    assert default_kept(privileged=True) < default_kept(privileged=False)
    assert "mknod" not in default_kept(privileged=True)


@pytest.mark.parametrize("privileged", [False, True])
def test_the_policies_are_libvirts(privileged: bool) -> None:
    default = default_kept(privileged=privileged)
    states = {"sys_time": True, "net_raw": False}
    assert kept(CapabilityPolicy.DEFAULT, {}, privileged=privileged) == default
    assert kept(CapabilityPolicy.DEFAULT, states, privileged=privileged) == (default | {"sys_time"}) - {"net_raw"}
    assert kept(CapabilityPolicy.ALLOW, states, privileged=privileged) == set(CAPABILITIES) - {"net_raw"}
    assert kept(CapabilityPolicy.DENY, states, privileged=privileged) == {"sys_time"}


def test_a_name_that_is_no_capability_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="no capability 'cap_chown'"):
        kept(CapabilityPolicy.DEFAULT, {"cap_chown": True}, privileged=False)

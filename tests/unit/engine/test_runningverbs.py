"""The verbs that change a container that runs, of one that does not."""

from collections.abc import Callable

import pytest

from insula import Container, Device, DeviceKind, LinkChange, TmpfsMount, VethInterface
from insula.errors import OperationInvalidError


def test_what_does_not_run_is_not_changed() -> None:
    container = Container("/srv/web", name="web")
    device = Device(kind=DeviceKind.CHARACTER, major=1, minor=7, host="/dev/full", guest="full")
    changes: tuple[Callable[[], None], ...] = (
        lambda: container.attach_mount(TmpfsMount(target="/srv")),
        lambda: container.detach_mount("/srv"),
        lambda: container.renew_mount("/srv"),
        lambda: container.attach_device(device),
        lambda: container.detach_device(device),
        lambda: container.attach_interface(VethInterface(guest="eth1")),
        lambda: container.detach_interface("eth1"),
        lambda: container.replug_interface(VethInterface(guest="eth1")),
        lambda: container.configure_link("eth0", LinkChange(up=False)),
    )
    for change in changes:
        with pytest.raises(OperationInvalidError, match="'web' does not run"):
            change()

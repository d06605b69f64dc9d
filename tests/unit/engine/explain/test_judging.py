"""Which layer refused a call, from the call and the guest's facts alone."""

import errno
from dataclasses import replace

import pytest

from insula.engine.explain.judging import explanation
from insula.engine.explain.refusedcall import RefusedCall
from insula.engine.explain.verdict import Layer
from insula.engine.interfacespec import NetworkKind, NetworkShare
from tests.unit.engine.explain.failed import EACCES, EINVAL, ENOSYS, EPERM, EROFS, caller, failed, guest, seen

NOBODY = caller(65534)
RO = {"options": "ro"}


def mount(kind: str, number: int = EPERM, flags: int = 0, **further: object) -> RefusedCall:
    call = failed("mount", number, 1, 2, 3, flags, texts=((0, "none"), (1, "/mnt"), (2, kind)))
    return replace(call, **further)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "layer"),
    [
        (failed("bpf", EPERM), Layer.FILTER),
        (failed("socket", errno.EAFNOSUPPORT, 38, 5), Layer.FILTER),
        (failed("socket", errno.EAFNOSUPPORT, 10, 1), Layer.KERNEL),
        (failed("statx", ENOSYS), Layer.KERNEL),
        (mount("xfs"), Layer.USER_NAMESPACE),
        (mount("xfs", errno.ENODEV), Layer.KERNEL),
        (mount("ext4", errno.ENODEV), Layer.KERNEL),
        (mount("proc"), Layer.USER_NAMESPACE),
        (mount("none", flags=32 | 4096), Layer.USER_NAMESPACE),
        (mount("tmpfs", caller=NOBODY), Layer.GUEST),
        (failed("ptrace", EPERM, 0), Layer.TRACE),
        (failed("ptrace", EPERM, 16, 1), Layer.TRACE),
        (failed("ptrace", EPERM, 16, 1, by=NOBODY), Layer.GUEST),
        (failed("setns", EPERM), Layer.USER_NAMESPACE),
        (failed("setns", EPERM, by=NOBODY), Layer.GUEST),
        (failed("reboot", EINVAL), Layer.KERNEL),
        (failed("reboot", EPERM, by=NOBODY), Layer.GUEST),
        (failed("chown", EINVAL, 0, 70000, 0), Layer.ID_MAP),
        (failed("openat", EROFS, files=(seen("/f", **RO),)), Layer.READ_ONLY),
        (failed("openat", EPERM, files=(seen("/dev/sda", "b", major=8),)), Layer.DEVICES),
        (failed("inotify_add_watch", errno.ENOSPC), Layer.OBJECT_QUOTA),
        (failed("mknod", EPERM, 0, 0o060600), Layer.USER_NAMESPACE),
        (failed("ioctl", errno.EOPNOTSUPP), Layer.KERNEL),
        (failed("getpid", EPERM), Layer.UNKNOWN),
    ],
    ids=lambda each: each.name if isinstance(each, RefusedCall) else None,
)
def test_the_first_verdict_is_the_layers(call: RefusedCall, layer: Layer) -> None:
    assert explanation(call, guest()).verdicts[0].layer is layer


def test_the_filter_is_asked_before_all_else_and_leaves_no_doubt() -> None:
    found = explanation(failed("mknod", EPERM, 0, 0o060600), guest())
    assert found.certain
    assert explanation(failed("settimeofday", EPERM), guest()).certain


def test_a_share_of_the_network_holds_addresses() -> None:
    share = NetworkShare(addresses=("192.0.2.1",))
    found = explanation(failed("bind", EPERM), guest(network=NetworkKind.HOST, network_share=share))
    assert found.verdicts[0].layer is Layer.NETWORK_SHARE


def test_filters_of_programs_inside_and_security_modules_are_told_as_possible() -> None:
    sandboxed = caller(filters=3, label="insula-web (enforce)")
    found = explanation(failed("getpid", EPERM, by=sandboxed), guest())
    assert [each.layer for each in found.verdicts] == [Layer.GUEST, Layer.SECURITY_MODULE]
    assert not found.certain and all(each.settle for each in found.verdicts)


def test_permissions_may_be_the_modules_too() -> None:
    labelled = caller(1000, label="user_t")
    call = failed("openat", EACCES, by=labelled, files=(seen("/etc/shadow", mode=0o600),))
    assert [each.layer for each in explanation(call, guest()).verdicts] == [Layer.GUEST, Layer.SECURITY_MODULE]


def test_each_verdict_says_what_changes_it_or_why_nothing_does() -> None:
    for number in (EPERM, EACCES, EROFS, EINVAL, ENOSYS, errno.ENOSPC, errno.EMFILE, errno.ENOMEM):
        for name in ("mount", "openat", "clone", "unshare", "socket", "ioctl", "bpf", "setpriority", "mlock"):
            for kind in (guest(), guest(privileged=True)):
                for each in explanation(failed(name, number), kind).verdicts:
                    assert each.evidence and (each.change or each.advice), (name, number, each)

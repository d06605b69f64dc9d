"""Containers on a host that systemd runs: each in a scope of its own, with and without one that stands ready."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.errors import OperationFailedError, StepError
from tests.systemctl import (
    machines,
    scopes_listed,
    shown,
    unit_of,
    until_another_is_ready,
    until_gone,
    until_registered,
    where,
)
from tests.waiting import patience, scaled, until, until_heard


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_a_launched_container_is_registered_limited_and_cleared_away(busybox_root: Path) -> None:
    with Container(busybox_root, name="whole", ephemeral=True, memory=64 << 20, pids=40) as guest:
        until_registered(f"lxc-{guest.pid}-whole")
        scope = unit_of(guest.pid)
        assert where(guest.pid).startswith(f"/machine.slice/{scope}/insula/payload")
        assert shown(scope, "Description") == {"Description": f"Container lxc-{guest.pid}-whole"}
        assert guest.run(["cat", "/proc/self/cgroup"]).stdout == b"0::/insula.exec\n"
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        assert (guest.limits().memory, guest.limits().tasks) == (64 << 20, 40)
        assert guest.run(["sh", "-c", ": < /dev/kmsg"]).returncode != 0
        guest.freeze()
        assert guest.frozen
        guest.thaw()
    until(lambda: "whole" not in machines(), "machinectl having forgotten it")
    until_gone(scope)


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_a_launch_that_fails_leaves_no_scope(busybox_root: Path) -> None:
    container = Container(busybox_root, name="stillborn", init=["/bin/missing"], ephemeral=True)
    with pytest.raises(StepError, match="/bin/missing"):
        container.start()
    container.destroy()
    until(lambda: "stillborn" not in machines(), "machinectl having forgotten it")
    command = ["systemctl", "list-units", "--all", "--no-legend", "machine-*"]
    assert "stillborn" not in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_a_scope_that_an_administrator_ends_before_its_use_fails_no_start(busybox_root: Path) -> None:
    idle = ["/bin/sleep", "1000"]
    with Engine() as engine:
        with Container(busybox_root, name="first", init=idle, ephemeral=True, engine=engine) as first:
            own = unit_of(first.pid)
            other = until_another_is_ready(but=own)
            subprocess.run(["systemctl", "stop", other], check=True)
        with Container(busybox_root, name="second", init=idle, ephemeral=True, engine=engine) as second:
            assert unit_of(second.pid) not in (own, other)


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_machinectl_ends_one_container_and_no_other(busybox_root: Path) -> None:
    idle = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]
    with (
        Engine() as engine,
        Container(busybox_root, name="ended", init=idle, ephemeral=True, engine=engine) as ended,
        Container(busybox_root, name="spared", init=idle, ephemeral=True, engine=engine) as spared,
    ):
        for guest in (ended, spared):
            until_registered(f"lxc-{guest.pid}-{guest.name}")
        until_heard(ended.pid, signal.SIGTERM)
        subprocess.run(["machinectl", "terminate", f"lxc-{ended.pid}-ended"], check=True)
        ended.wait(patience(60))
        assert spared.run(["true"]).returncode == 0
        command = ["machinectl", "show", f"lxc-{spared.pid}-spared"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"Unit={unit_of(spared.pid)}" in told.splitlines()


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_an_administrator_ends_a_guest_by_its_scope(busybox_root: Path) -> None:
    idle = ["/bin/sh", "-c", "trap 'exit 7' TERM; while :; do sleep 1; done"]
    with Container(busybox_root, name="stopped", init=idle, ephemeral=True) as guest:
        scope = unit_of(guest.pid)
        until_heard(guest.pid, signal.SIGTERM)
        subprocess.run(["systemctl", "stop", scope], check=True)
        guest.wait(patience(60))
    until_gone(scope)


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_no_program_of_the_guest_runs_before_it_is_in_its_group_with_its_limits(busybox_root: Path) -> None:
    told = ["cat /proc/self/cgroup", "cat /sys/fs/cgroup/cgroup.controllers", "cat /sys/fs/cgroup/pids.max"]
    (busybox_root / "sbin/told").write_text(f"#!/bin/sh\n({'; '.join(told)}) > /told 2>&1\nexec sleep 1000\n")
    (busybox_root / "sbin/told").chmod(0o755)
    with Container(busybox_root, name="early", init=["/sbin/told"], pids=40) as guest:
        until(lambda: guest.run(["cat", "/told"]).stdout.count(b"\n") >= 3, "what init saw first")
        where_it_was, controllers, *_ = guest.run(["cat", "/told"]).stdout.decode().splitlines()
        assert where_it_was == "0::/"
        assert {"memory", "pids"} <= set(controllers.split())
        assert guest.limits().tasks == 40
        scope = unit_of(guest.pid)
    until_gone(scope)


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_without_a_bus_a_start_takes_what_stands_ready_and_the_next_says_so_and_leaves_nothing(
    busybox_root: Path,
) -> None:
    def guest(name: str) -> Container:
        return Container(busybox_root, name=name, init=["/bin/sleep", "1000"], ephemeral=True, engine=engine)

    with Engine() as engine, guest("spared") as spared:
        until_another_is_ready(but=unit_of(spared.pid))
        subprocess.run(["systemctl", "stop", "dbus.socket", "dbus.service"], check=True)
        try:
            with guest("last") as last:
                assert unit_of(last.pid) != unit_of(spared.pid)
                lost = guest("lost")
                with pytest.raises(OperationFailedError, match=r"systemd makes no scope for 'lost': .* system bus"):
                    lost.start()
            assert spared.run(["true"]).returncode == 0
        finally:
            subprocess.run(["systemctl", "start", "dbus.socket", "dbus.service"], check=True)
        with guest("later") as later:
            assert where(later.pid).startswith("/machine.slice/machine-insula")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_a_bus_that_says_nothing_holds_up_a_start_for_half_a_minute_at_most(busybox_root: Path) -> None:
    def guest(name: str) -> Container:
        return Container(busybox_root, name=name, init=["/bin/sleep", "1000"], ephemeral=True, engine=engine)

    with Engine() as engine, guest("spared") as spared:
        until_another_is_ready(but=unit_of(spared.pid))
        bus = int(shown("dbus.service", "MainPID")["MainPID"])
        os.kill(bus, signal.SIGSTOP)
        try:
            with guest("last"):
                began, lost = time.monotonic(), guest("lost")
                with pytest.raises(OperationFailedError, match="systemd makes no scope for 'lost'"):
                    lost.start()
                assert time.monotonic() - began < scaled(60)
        finally:
            os.kill(bus, signal.SIGCONT)


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_containers_start_while_systemd_starts_itself_anew(busybox_root: Path) -> None:
    def guest(name: str) -> Container:
        return Container(busybox_root, name=name, init=["/bin/sleep", "1000"], ephemeral=True, engine=engine)

    with Engine() as engine, guest("before"):
        with subprocess.Popen(["systemctl", "daemon-reexec"]) as restart:
            for number in range(3):
                with guest(f"during{number}") as during:
                    assert where(during.pid).startswith("/machine.slice/machine-insula")
        assert restart.returncode == 0
        subprocess.run(["systemctl", "restart", "systemd-machined"], check=True)
        with guest("after") as after:
            until_registered(f"lxc-{after.pid}-after")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_who_is_killed_leaves_no_scope_neither_of_a_guest_nor_one_that_stands_ready(busybox_root: Path) -> None:
    script = (
        "import sys\n"
        "from insula import Container, Engine\n"
        "engine = Engine()\n"
        "guest = Container(sys.argv[1], name='left', init=['/bin/sleep', '1000'], ephemeral=True, engine=engine)\n"
        "guest.start()\n"
        "print(guest.pid, flush=True)\n"
        "input()\n"
    )
    command = [sys.executable, "-c", script, str(busybox_root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        own = unit_of(int(maker.stdout.readline()))
        until_another_is_ready(but=own)
        assert len(scopes_listed()) == 2
        maker.kill()
    until(lambda: scopes_listed() == [], "nothing being left")

"""The verbs of a `Container` that change it while it runs, beside its limits.

What they change goes with the run: the next start knows nothing of it.
"""

from insula.engine.containerlife import ContainerLife
from insula.engine.interfacespec import Interface
from insula.engine.linkchange import LinkChange
from insula.engine.spec import Device, Mount


class RunningVerbs:
    """What a `Container` does while it runs. Each verb is whole or not at all: a failure takes back what was done."""

    _life: ContainerLife

    def attach_mount(self, mount: Mount) -> None:
        """Show something more in the guest while it runs: of the host, in memory, or of its own.

        It is looked up inside the guest's root, and made where it is missing. It goes with this run: the next start
        shows it no more.

            >>> from insula import TmpfsMount
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     guest.attach_mount(TmpfsMount(target="/srv/scratch", size=1 << 20))
            ...     guest.run(["sh", "-c", "df /srv/scratch | tail -n 1"]).stdout.split()[-1]
            ...     guest.detach_mount("/srv/scratch")
            b'/srv/scratch'

        Raises: StepError naming what failed, all of it taken back; OperationInvalidError if it has a mount there
        already, or is frozen.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.mounts.attach(running, mount))

    def detach_mount(self, target: str, *, force: bool = True) -> None:
        """Take off what is shown there, by `attach_mount` or from the start; the guest may have taken off the former.

        force: in use or not; otherwise the kernel refuses what is in use, or has mounts below it.
        Raises: OperationInvalidError if nothing is shown there, or the guest has changed what was there from the start;
        StepError, with errno EBUSY for what is in use.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.mounts.detach(running, target, force=force))

    def renew_mount(self, target: str) -> None:
        """Show anew what of the host is shown there, by `attach_mount` or from the start.

        A mount shows the file that it was made of, also when another one has been given that name since, as editors and
        package managers do. This shows the one that has the name now; what is open inside stays open.

            >>> import os, pathlib, tempfile
            >>> from insula import BindMount
            >>> with tempfile.TemporaryDirectory() as top:
            ...     word, new = pathlib.Path(top, "word"), pathlib.Path(top, "new")
            ...     size = word.write_text("old") + new.write_text("new")
            ...     view = BindMount(source=str(word), target="/srv/word")
            ...     with Container(root, init=["/bin/sleep", "1000"], ephemeral=True, mounts=[view]) as guest:
            ...         os.rename(new, word)
            ...         before = guest.run(["cat", "/srv/word"]).stdout
            ...         guest.renew_mount("/srv/word")
            ...         before, guest.run(["cat", "/srv/word"]).stdout
            (b'old', b'new')

        Raises: OperationInvalidError if no `BindMount` is at that path, if a link is on the way, if the guest has
        mounted something above it, or is frozen; StepError naming what failed, and the former one is still shown.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.views.renew(running, target))

    def attach_device(self, device: Device) -> None:
        """Give the guest a device of the host while it runs: its node below /dev, and the right to use it.

            >>> from insula import Device, DeviceKind
            >>> numbers = {"kind": DeviceKind.CHARACTER, "major": 1, "minor": 7}
            >>> full = Device(**numbers, host="/dev/full", guest="brimful", mode=0o666)
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     guest.attach_device(full)
            ...     guest.run(["sh", "-c", "echo x > /dev/brimful || echo no room"]).stdout
            ...     guest.detach_device(full)
            b'no room\\n'

        Raises: StepError naming what failed, all of it taken back; OperationInvalidError if it has a device of that
        name, or is frozen.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.nodes.attach_device(running, device))

    def detach_device(self, device: Device) -> None:
        """Take a device away, also one that it was started with. Who has it open keeps it.

        Raises: OperationInvalidError if the guest was given none of that name; StepError.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.nodes.detach_device(running, device))

    def attach_interface(self, interface: Interface) -> None:
        """Give the guest one more network interface while it runs, with its addresses and routes.

        The engine needs a performer of interfaces. It goes with this run, or by `detach_interface`.

        Raises: OperationInvalidError if it has one of that name, is frozen or has no network of its own;
        OperationFailedError saying what the host or the kernel refused, and nothing of it is left.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.interfaces.attach(running, interface))

    def detach_interface(self, name: str) -> None:
        """Take an interface away, also one that it was started with; a device of the host goes back to the host.

        name: what the container was given it as. Raises: OperationInvalidError if it was given none of that name;
        OperationFailedError.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.interfaces.detach(running, name))

    def replug_interface(self, interface: Interface) -> None:
        """Plug an interface that the guest has in elsewhere: its bridge, its carrier, what its port lets through.

        interface: as it is to be, with the name that it has. Its name, addresses and routes stay as they are.
        Raises: OperationInvalidError if the container was given none of that name; OperationUnsupportedError for what
        cannot become different while it is plugged in; OperationFailedError, and it is what it was.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.interfaces.change_port(running, interface))

    def configure_link(self, name: str, change: LinkChange) -> None:
        """Change a network link of the guest's, lo too: on or off, MTU, name, addresses, routes.

        name: what the guest calls it now. Nothing of the guest's is run: the kernel is asked inside its network
        namespace. What a link loses when it is switched off, it has again when it is switched on: the addresses and
        routes that the container was given. The engine needs a performer of interfaces.

            >>> from contextlib import closing
            >>> from insula import Address, Engine, LinkChange
            >>> from insula.network.netlink import NetlinkPerformer
            >>> home = Address(address="192.0.2.1", prefix=32)
            >>> with (
            ...     closing(NetlinkPerformer()) as performer,
            ...     Engine(interfaces=performer) as engine,
            ...     Container(root, init=["/bin/sleep", "1000"], ephemeral=True, engine=engine) as guest,
            ... ):
            ...     guest.configure_link("lo", LinkChange(mtu=1400, add_addresses=(home,)))
            ...     guest.run(["cat", "/sys/class/net/lo/mtu"]).stdout
            b'1400\\n'

        Raises: OperationInvalidError if there is no such link, if it has what is to be added, or for a container that
        is frozen or has no network of its own; InvalidArgumentError for what no kernel would take;
        OperationUnsupportedError if too many routes or addresses would have to be put back; OperationFailedError saying
        what the kernel refused, and then the link is what it was.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.changes.change_link(running, name, change))

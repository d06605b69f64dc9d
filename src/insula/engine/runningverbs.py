"""The verbs of a `Container` that change it while it runs, beside its limits.

What they change goes with the run: the next start knows nothing of it.
"""

from insula.engine.containerlife import ContainerLife
from insula.engine.linkchange import LinkChange
from insula.engine.spec import Device, Mount


class RunningVerbs:
    """What a `Container` does while it runs. Each verb is whole or not at all: a failure takes back what was done."""

    _life: ContainerLife

    def attach_mount(self, mount: Mount) -> None:
        """Show a directory or file of the host (`BindMount`), or memory (`TmpfsMount`), in the guest while it runs.

        It is looked up inside the guest's root, and made where it is missing. It goes with this run: the next start
        shows it no more.

            >>> from insula import TmpfsMount
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     guest.attach_mount(TmpfsMount(target="/srv/scratch", size=1 << 20))
            ...     guest.run(["sh", "-c", "df /srv/scratch | tail -n 1"]).stdout.split()[-1]
            ...     guest.detach_mount("/srv/scratch")
            b'/srv/scratch'

        Raises: StepError naming what failed, all of it taken back; OperationInvalidError if something was attached
        there before, or the container is frozen; InvalidArgumentError for another kind of mount.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.changes.attach(running, mount))

    def detach_mount(self, target: str) -> None:
        """Take off again what was attached there, in use or not; fine if the guest has done so itself.

        Raises: OperationInvalidError if nothing was attached there; StepError.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.changes.detach(running, target))

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
        engine.do(engine.launcher.changes.attach_device(running, device))

    def detach_device(self, device: Device) -> None:
        """Take a device away, also one that it was started with. Who has it open keeps it.

        Raises: OperationInvalidError if the guest was given none of that name; StepError.
        """
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.changes.detach_device(running, device))

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

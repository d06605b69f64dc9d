"""Device classes: nodes of the host that a guest is given by one word, with the guest's group that may use them.

A row is a pattern below the host's /dev. What lets a guest act on the host itself is in no class: uinput would type on
the host's keyboard, a serial line that is the host's console would read its logins, memory and disks are its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePattern:
    """Character devices of a class.

    path: of components below /dev, where `*` stands for letters and digits; groups: names of the guest's groups, the
    first that it has owns the node; mode: of the node, for its owner, which is the guest's root, its group and others.
    """

    path: str
    groups: tuple[str, ...] = ()
    mode: int = 0o660


_EVERYBODY = 0o666

DEVICE_CLASSES: Mapping[str, tuple[NodePattern, ...]] = MappingProxyType(
    {
        "gpu": (
            NodePattern(path="dri/card*", groups=("video",)),
            NodePattern(path="dri/renderD*", groups=("render", "video")),
            NodePattern(path="kfd", groups=("render", "video")),
            NodePattern(path="accel/accel*", groups=("render", "video")),
            NodePattern(path="dxg", mode=_EVERYBODY),
            NodePattern(path="nvidia*", mode=_EVERYBODY),
            NodePattern(path="nvidia-uvm", mode=_EVERYBODY),
            NodePattern(path="nvidia-uvm-tools", mode=_EVERYBODY),
            NodePattern(path="nvidia-modeset", mode=_EVERYBODY),
        ),
        "kvm": (NodePattern(path="kvm", groups=("kvm",)),),
        "sound": (NodePattern(path="snd/*", groups=("audio",)),),
        "input": (
            NodePattern(path="input/event*", groups=("input",)),
            NodePattern(path="input/mouse*", groups=("input",)),
            NodePattern(path="input/mice", groups=("input",)),
            NodePattern(path="input/js*", groups=("input",)),
        ),
        "video": (
            NodePattern(path="video*", groups=("video",)),
            NodePattern(path="media*", groups=("video",)),
            NodePattern(path="v4l-subdev*", groups=("video",)),
        ),
        "fuse": (NodePattern(path="fuse", mode=_EVERYBODY),),
        "tun": (NodePattern(path="net/tun", mode=_EVERYBODY),),
        "serial": (
            NodePattern(path="ttyUSB*", groups=("dialout", "uucp")),
            NodePattern(path="ttyACM*", groups=("dialout", "uucp")),
            NodePattern(path="ttyAMA*", groups=("dialout", "uucp")),
            NodePattern(path="ttyS*", groups=("dialout", "uucp")),
        ),
        "dvb": (NodePattern(path="dvb/adapter*/*", groups=("video",)),),
        "i2c": (NodePattern(path="i2c-*", groups=("i2c",)),),
        "spi": (NodePattern(path="spidev*", groups=("spi",)),),
        "gpio": (NodePattern(path="gpiochip*", groups=("gpio",)),),
    }
)
"""By the word that stands in a definition. Groups: those of udev's own rules, `50-udev-default.rules`."""

"""Who follows which devices of the host, in the place of `network.devicewatch.DeviceWatch`."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class FollowedDevices:
    """now: the devices by who follows them; reminded: those that are to be told once more."""

    now: dict[UUID, set[str]] = field(default_factory=dict)
    reminded: list[str] = field(default_factory=list)

    def follow(self, follower: UUID, devices: Collection[str]) -> None:
        self.now[follower] = set(devices)

    def forget(self, follower: UUID) -> None:
        self.now.pop(follower, None)

    def remind(self, device: str) -> None:
        self.reminded.append(device)

"""Who may come with a password, and what is kept of it: a file that only root reads, in which no password stands.

    decoys BASE64                                    what users that there are not are made up of
    anna SCRAM-SHA-512$ITERATIONS:SALT$KEY:KEY       one line a user and mechanism
    anna SCRAM-SHA-256$ITERATIONS:SALT$KEY:KEY

It is read again whenever it has changed, so whoever is added or removed may come, or not, from the next time on.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from insula.daemon.authority.secretfiles import check_secrecy
from insula.errors import ConfigurationError, InvalidArgumentError
from insula.kernel.durable import replace_file
from insula.rpc.scram import HASHES, ITERATIONS, USER_MAX, ScramKeys, decoy, keys_of, parse_keys

SIZE_MAX: Final = 16 * 1024 * 1024
_DECOYS: Final = "decoys"
_SECRET_SIZE: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslUsers:
    """What the file says. keys: by user and mechanism; secret: what decoys are made of."""

    keys: Mapping[tuple[str, str], ScramKeys] = field(default_factory=dict)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(_SECRET_SIZE))

    @property
    def names(self) -> list[str]:
        """Who is in it, in alphabetical order."""
        return sorted({user for user, _ in self.keys})

    def of(self, user: str, mechanism: str) -> ScramKeys:
        """Return what is kept of a user's password; of one that there is not, what looks the same."""
        found = self.keys.get((user, mechanism))
        usual = next((each.iterations for each in self.keys.values()), ITERATIONS)
        made_up = decoy(mechanism, user, self.secret, usual)
        return made_up if found is None else found

    def with_password(self, user: str, password: str) -> "SaslUsers":
        """Return them with that password for that user, whether it was there or not."""
        added = {(user, each): keys_of(each, password) for each in HASHES}
        return SaslUsers(keys={**self.keys, **added}, secret=self.secret)

    def without(self, user: str) -> "SaslUsers":
        """Return them without that user. Raises: InvalidArgumentError if there is no such."""
        if user not in self.names:
            raise InvalidArgumentError(f"there is no user '{user}'")
        return SaslUsers(keys={key: each for key, each in self.keys.items() if key[0] != user}, secret=self.secret)

    def __str__(self) -> str:
        lines = [f"{_DECOYS} {base64.b64encode(self.secret).decode()}"]
        lines += [f"{user} {each}" for (user, _), each in sorted(self.keys.items())]
        return "\n".join(lines) + "\n"


def checked_user(name: str) -> str:
    """Return it. Raises: InvalidArgumentError for what cannot stand in the file."""
    if not name.isprintable() or not name or set(name) & set(" :*?") or name[0] == "#" or len(name.encode()) > USER_MAX:
        raise InvalidArgumentError(
            f"'{name}' names no user: 1 to {USER_MAX} bytes, no # first, no blanks, none of : * ?"
        )
    if name == _DECOYS:
        raise InvalidArgumentError(f"'{name}' means something else in the file of users")
    return name


def read_users(path: Path) -> SaslUsers:
    """Return the users in a file. Raises: ConfigurationError for one that is not there, not secret, or nonsense."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
            check_secrecy(path, os.fstat(file.fileno()), "file of users")
            content = file.read(SIZE_MAX + 1)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"there is no file {path} of users: insulad sasl-user add NAME makes it, with this --prefix and --config"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"the file of users {path} cannot be read: {error.strerror}") from error
    if len(content) > SIZE_MAX:
        raise ConfigurationError(f"the file of users {path} has more than {SIZE_MAX} bytes")
    return parse_users(content, str(path))


def parse_users(content: bytes, name: str = "the file of users") -> SaslUsers:
    """Return the users in a file's content. Raises: ConfigurationError, naming the line."""
    keys: dict[tuple[str, str], ScramKeys] = {}
    secret = b""
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            text = line.decode().strip()
            if not text or text.startswith("#"):
                continue
            user, _, rest = text.partition(" ")
            if user == _DECOYS:
                secret = base64.b64decode(rest, validate=True)
                continue
            kept = parse_keys(rest)
            key = checked_user(user), kept.mechanism
            if key in keys:
                raise ValueError(f"user '{user}' stands there twice")
            keys[key] = kept
        except (ValueError, InvalidArgumentError) as error:
            raise ConfigurationError(f"{name} line {number}: {error}") from error
    if not secret and keys:  # one that was written by hand: as secret as the file, and the same at each reading
        secret = hashlib.sha256(content).digest()
    return SaslUsers(keys=keys, secret=secret) if secret else SaslUsers(keys=keys)


def write_users(path: Path, users: SaslUsers) -> None:
    """Write the file, for root alone. Raises: ConfigurationError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, str(users).encode(), mode=0o600)
    except OSError as error:
        raise ConfigurationError(f"the file of users {path} cannot be written: {error.strerror}") from error


class UserFile:
    """The file, read again when it has changed. Not for the event loop: it waits for the disk."""

    def __init__(self, path: Path) -> None:
        """Raises: ConfigurationError as `read_users`."""
        self._path = path
        self._seen = self._stamp()
        self._users = read_users(path)

    def users(self) -> SaslUsers:
        """Return who is in it now. Raises: ConfigurationError if it cannot be used any more: then nobody comes in."""
        stamp = self._stamp()
        if stamp is None or stamp != self._seen:
            self._users = read_users(self._path)
            self._seen = stamp
        return self._users

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode

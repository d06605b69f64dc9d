"""SCRAM as a mechanism of SASL: two steps, and no more."""

from pathlib import Path

import pytest

from insula.daemon.authority.saslmechanism import ScramMechanism
from insula.daemon.authority.saslusers import SaslUsers, UserFile, write_users
from insula.errors import AuthenticationError, ConfigurationError
from insula.rpc.scram import ScramClient

pytestmark = pytest.mark.asyncio
NAME = "SCRAM-SHA-256"


@pytest.fixture
def file(tmp_path: Path) -> UserFile:
    path = tmp_path / "users"
    write_users(path, SaslUsers().with_password("anna", "pencil"))
    return UserFile(path)


async def test_a_password_proves_in_two_steps_who_one_is(file: UserFile) -> None:
    mechanism, client = ScramMechanism(NAME, file), ScramClient(NAME, "anna", "pencil")
    asked = await mechanism.step(client.first())
    assert asked.data and not asked.complete
    last = await mechanism.step(client.prove(asked.data))
    assert last.complete and mechanism.user == "anna" and mechanism.layer is None
    client.check(last.data or b"")


@pytest.mark.parametrize("user", ["anna", "eve"])
async def test_who_does_not_know_it_sees_the_same_whether_there_is_such_a_user(file: UserFile, user: str) -> None:
    mechanism, client = ScramMechanism(NAME, file), ScramClient(NAME, user, "guess")
    asked = await mechanism.step(client.first())
    with pytest.raises(AuthenticationError, match="the proof is wrong"):
        await mechanism.step(client.prove(asked.data or b""))


async def test_nothing_said_is_no_first_message(file: UserFile) -> None:
    with pytest.raises(AuthenticationError):
        await ScramMechanism(NAME, file).step(None)


async def test_without_its_file_nobody_comes_in(file: UserFile, tmp_path: Path) -> None:
    (tmp_path / "users").unlink()
    with pytest.raises(ConfigurationError):
        await ScramMechanism(NAME, file).step(ScramClient(NAME, "anna", "pencil").first())

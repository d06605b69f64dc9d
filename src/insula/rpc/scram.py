"""SCRAM, both sides: proof that a client knows a password, and that the server has what was made of it. No I/O.

    client                                        server
    n,,n=anna,r=NONCE                    ─────►   looks up what it has of anna
                 ◄─────   r=NONCE+MORE,s=SALT,i=ITERATIONS
    c=biws,r=NONCE+MORE,p=PROOF          ─────►   compares
                 ◄─────   v=SIGNATURE             the client compares in turn

A server that has no such user asks the same questions, with a salt that the name always gives. Names of mechanisms end
without `-PLUS`: there is no channel binding, which libvirt's clients have none of.
Source: RFC 5802, RFC 7677; the form of what is kept, RFC 5803.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final

from insula.errors import AuthenticationError, InvalidArgumentError

HASHES: Final = {"SCRAM-SHA-512": "sha512", "SCRAM-SHA-256": "sha256"}
"""Mechanisms, the strongest first, and what they are named after."""
ITERATIONS: Final = 32_768
"""Of what we make: RFC 7677 wants 4096 at least, today's advice is more; libvirt's clients take 0.2 s for these."""
ITERATIONS_MAX: Final = 10_000_000
"""A client does not calculate for minutes because a server says so."""
MESSAGE_MAX: Final = 4096
"""Bytes of any message; real ones have some two hundred."""
USER_MAX: Final = 255
"""Bytes of a user's name."""
_SALT_SIZE: Final = 16
_NONCE = re.compile(rb"[\x21-\x2b\x2d-\x7e]{8,512}")
_FIRST = re.compile(
    rb"(?P<gs2>[ny],(?:a=(?P<authzid>[^,\0]*))?,)(?P<bare>n=(?P<user>[^,\0]+),r=(?P<nonce>[^,]+)(?:,.*)?)"
)
_CHALLENGE = re.compile(rb"r=(?P<nonce>[^,]+),s=(?P<salt>[^,]+),i=(?P<iterations>[1-9][0-9]{0,8})(?:,.*)?")
_FINAL = re.compile(rb"(?P<bare>c=(?P<binding>[^,]+),r=(?P<nonce>[^,]+)(?:,.*)?),p=(?P<proof>[^,]+)")
_KEPT = re.compile(r"(?P<mechanism>SCRAM-[A-Z0-9-]+)\$(?P<iterations>[1-9][0-9]{0,7}):(?P<rest>.*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScramKeys:
    """What a server keeps of a password. Who has it can be the server to that user, and try passwords, not more."""

    mechanism: str
    salt: bytes
    iterations: int
    stored: bytes
    server: bytes

    def __str__(self) -> str:
        salt, stored, server = (base64.b64encode(each).decode() for each in (self.salt, self.stored, self.server))
        return f"{self.mechanism}${self.iterations}:{salt}${stored}:{server}"

    def __repr__(self) -> str:
        return f"ScramKeys({self.mechanism})"  # nothing secret in a trace


def keys_of(mechanism: str, password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> ScramKeys:
    """Return what a server is to keep of a password. salt: None for a new one."""
    salt = secrets.token_bytes(_SALT_SIZE) if salt is None else salt
    salted = _salted(mechanism, password, salt, iterations)
    kind = HASHES[mechanism]
    stored = hashlib.new(kind, hmac.digest(salted, b"Client Key", kind)).digest()
    server = hmac.digest(salted, b"Server Key", kind)
    return ScramKeys(mechanism=mechanism, salt=salt, iterations=iterations, stored=stored, server=server)


def parse_keys(text: str) -> ScramKeys:
    """Return what `str` wrote. Raises: ValueError."""
    found = _KEPT.fullmatch(text)
    parts = re.split(r"[$:]", found["rest"]) if found else ()
    if found is None or len(parts) != 3 or found["mechanism"] not in HASHES:
        raise ValueError("it is not of the form SCRAM-SHA-256$ITERATIONS:SALT$KEY:KEY")
    salt, stored, server = (base64.b64decode(each, validate=True) for each in parts)
    size = hashlib.new(HASHES[found["mechanism"]]).digest_size
    iterations = int(found["iterations"])
    if not salt or len(stored) != size or len(server) != size or iterations > ITERATIONS_MAX:
        raise ValueError("a key, a salt or the number of iterations has the wrong size")
    return ScramKeys(mechanism=found["mechanism"], salt=salt, iterations=iterations, stored=stored, server=server)


def decoy(mechanism: str, user: str, secret: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """Return keys of nobody's password: the same for the same name, so that asking twice tells nothing."""
    kind = HASHES[mechanism]
    size = hashlib.new(kind).digest_size
    salt = hmac.digest(secret, b"salt " + user.encode(), "sha256")[:_SALT_SIZE]
    nobody = secrets.token_bytes(size)
    return ScramKeys(mechanism=mechanism, salt=salt, iterations=iterations, stored=nobody, server=nobody)


class ScramServer:
    """The server's side of one proof, in two steps: `ask` by the client's first message, `judge` its last one."""

    def __init__(self, mechanism: str) -> None:
        self._mechanism = mechanism
        self._keys: ScramKeys | None = None
        self._asked = b""
        self._gs2 = b""
        self._nonce = b""
        self.user = ""

    def named(self, first: bytes) -> str:
        """Take the client's first message; return the name in it. Raises: AuthenticationError for none."""
        found = _FIRST.fullmatch(first) if len(first) <= MESSAGE_MAX else None
        if found is None or not _NONCE.fullmatch(found["nonce"]):
            raise AuthenticationError("a first message that is none of SCRAM's")
        user = _unescaped(found["user"])
        if found["authzid"] and _unescaped(found["authzid"]) != user:
            raise AuthenticationError("to act as another user than the one who proves it is not possible")
        self._gs2 = found["gs2"]
        self._nonce = found["nonce"] + secrets.token_urlsafe(18).encode()
        self._asked = found["bare"]
        self.user = user
        return user

    def ask(self, keys: ScramKeys) -> bytes:
        """Return what the client is asked, who is called as `named` said. keys: of that user, or a decoy."""
        self._keys = keys
        asked = b"r=%s,s=%s,i=%d" % (self._nonce, base64.b64encode(keys.salt), keys.iterations)
        self._asked += b"," + asked
        return asked

    def judge(self, final: bytes) -> bytes:
        """Return our own proof for a client's right one. Raises: AuthenticationError for any other."""
        found = _FINAL.fullmatch(final) if len(final) <= MESSAGE_MAX else None
        if found is None or self._keys is None:
            raise AuthenticationError("a last message that is none of SCRAM's")
        kind = HASHES[self._mechanism]
        heard = self._asked + b"," + found["bare"]
        signature = hmac.digest(self._keys.stored, heard, kind)
        proof, binding = _decoded(found["proof"]), _decoded(found["binding"])
        if len(proof) != len(signature):
            raise AuthenticationError("a proof of the wrong size")
        key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        right = hmac.compare_digest(hashlib.new(kind, key).digest(), self._keys.stored)
        same = found["nonce"] == self._nonce and binding == self._gs2
        if not right or not same:
            raise AuthenticationError("the proof is wrong")
        return b"v=" + base64.b64encode(hmac.digest(self._keys.server, heard, kind))


class ScramClient:
    """The client's side: `first`, then `prove` by what the server asks, then `check` what it proves in turn."""

    def __init__(self, mechanism: str, user: str, password: str) -> None:
        self._mechanism = mechanism
        self._password = password
        self._nonce = secrets.token_urlsafe(18).encode()
        self._bare = b"n=%s,r=%s" % (_escaped(user), self._nonce)
        self._proof_of_server = b""

    def first(self) -> bytes:
        """What the server is told first."""
        return b"n,," + self._bare

    def prove(self, asked: bytes) -> bytes:
        """Return the proof that a server asks for. Raises: AuthenticationError for what asks for none."""
        found = _CHALLENGE.fullmatch(asked) if len(asked) <= MESSAGE_MAX else None
        if found is None or not found["nonce"].startswith(self._nonce) or found["nonce"] == self._nonce:
            raise AuthenticationError("the daemon asks for a password in a way that is none of SCRAM's")
        iterations = int(found["iterations"])
        if not 4096 <= iterations <= ITERATIONS_MAX:
            raise AuthenticationError(f"the daemon wants a password to be stirred {iterations} times: that is not safe")
        kind = HASHES[self._mechanism]
        salted = _salted(self._mechanism, self._password, _decoded(found["salt"]), iterations)
        key = hmac.digest(salted, b"Client Key", kind)
        bare = b"c=biws,r=" + found["nonce"]
        heard = b",".join((self._bare, asked, bare))
        signature = hmac.digest(hashlib.new(kind, key).digest(), heard, kind)
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        self._proof_of_server = hmac.digest(hmac.digest(salted, b"Server Key", kind), heard, kind)
        return bare + b",p=" + base64.b64encode(proof)

    def check(self, final: bytes) -> None:
        """Raises: AuthenticationError if the server does not know the user either."""
        if not final.startswith(b"v=") or not self._proof_of_server:
            raise AuthenticationError("the daemon does not prove that it knows us")
        if not hmac.compare_digest(_decoded(final[2:].partition(b",")[0]), self._proof_of_server):
            raise AuthenticationError("the daemon does not know us: it is not the one that we wanted")


def plain_password(password: str) -> str:
    """Return a password that every client writes alike: libvirt's take it as it is typed, others in one normal form.

    Raises: InvalidArgumentError for one whose forms differ, or that cannot be typed.
    """
    if not password or not password.isprintable() or len(password.encode()) > 512:
        raise InvalidArgumentError("a password has 1 to 512 bytes, and nothing invisible")
    if unicodedata.normalize("NFKC", password) != password:
        raise InvalidArgumentError("this password has characters that are written in several ways: choose others")
    return password


def _salted(mechanism: str, password: str, salt: bytes, iterations: int) -> bytes:
    written = unicodedata.normalize("NFKC", password).encode()
    return hashlib.pbkdf2_hmac(HASHES[mechanism], written, salt, iterations)


def _escaped(user: str) -> bytes:
    return user.replace("=", "=3D").replace(",", "=2C").encode()


def _unescaped(user: bytes) -> str:
    try:
        text = user.decode()
    except UnicodeDecodeError as error:
        raise AuthenticationError("a user's name that is no text") from error
    if len(user) > USER_MAX or "=" in re.sub(r"=2C|=3D", "", text) or not text.isprintable():
        raise AuthenticationError("a user's name that is none")
    return text.replace("=2C", ",").replace("=3D", "=")


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuthenticationError("a message that is none of SCRAM's") from error

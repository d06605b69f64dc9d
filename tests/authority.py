"""An authority of a test's own: certificates by openssl, for servers and clients, good ones and others."""

import subprocess
from pathlib import Path

from tests.waiting import patience

_CONFIGURATION = """
[ca]
default_ca = ours
[ours]
database = {directory}/index.txt
serial = {directory}/serial
crlnumber = {directory}/crlnumber
new_certs_dir = {directory}
default_md = sha256
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = none
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = supplied
[authority]
basicConstraints = critical,CA:true
keyUsage = keyCertSign,cRLSign
[intermediate]
basicConstraints = critical,CA:true
keyUsage = keyCertSign,cRLSign
[server]
basicConstraints = CA:false
keyUsage = digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1,IP:::1,DNS:localhost
[client]
basicConstraints = CA:false
keyUsage = digitalSignature,keyEncipherment
extendedKeyUsage = clientAuth
"""


class Authority:
    """Keys and certificates below a directory, as libvirt's `pkipath` has them."""

    def __init__(self, directory: Path, name: str = "authority", *, above: "Authority | None" = None) -> None:
        """above: who signs for this one, nobody else but itself if there is none."""
        directory.mkdir()
        self._directory = directory
        self._configuration = directory / "openssl.cnf"
        self._configuration.write_text("[req]\ndistinguished_name = req\n" + _CONFIGURATION.format(directory=directory))
        (directory / "index.txt").touch()
        (directory / "serial").write_text("1000\n")
        (directory / "crlnumber").write_text("1000\n")
        self.certificate, self._key = directory / "cacert.pem", directory / "cakey.pem"
        if above is not None:
            made = above.issue("intermediate", f"/CN={name}", directory / "made")
            self.certificate.write_bytes((made / "intermediatecert.pem").read_bytes())
            self._key.write_bytes((made / "intermediatekey.pem").read_bytes())
            return
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-days", "30", "-extensions", "authority", "-keyout", str(self._key), "-out", str(self.certificate),
        )  # fmt: skip

    def issue(self, kind: str, name: str, directory: Path, *, dates: tuple[str, str] | None = None) -> Path:
        """Make a `server`, `client` or `intermediate` a key and a certificate in its own directory, and return that.

        name: as openssl has it, `/O=Insula/CN=anna`; dates: from and until when it holds, `20200101000000Z`.
        """
        directory.mkdir(exist_ok=True)
        key, request, certificate = (directory / f"{kind}{each}.pem" for each in ("key", "request", "cert"))
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", name,
            "-keyout", str(key), "-out", str(request),
        )  # fmt: skip
        held = ("-days", "30") if dates is None else ("-startdate", dates[0], "-enddate", dates[1])
        self._openssl(
            "ca", "-batch", "-notext", "-extensions", kind, *held, "-cert", str(self.certificate),
            "-keyfile", str(self._key), "-in", str(request), "-out", str(certificate),
        )  # fmt: skip
        (directory / "cacert.pem").write_bytes(self.certificate.read_bytes())
        return directory

    def revoke(self, certificate: Path) -> None:
        """Take back what a certificate says; `revocations` tells nobody before it is written again."""
        self._openssl("ca", "-revoke", str(certificate), "-cert", str(self.certificate), "-keyfile", str(self._key))

    def revocations(self, file: Path) -> None:
        """Write the list of what is taken back."""
        self._openssl("ca", "-gencrl", "-cert", str(self.certificate), "-keyfile", str(self._key), "-out", str(file))

    def _openssl(self, command: str, *words: str) -> None:
        done = subprocess.run(
            ["openssl", command, "-config", str(self._configuration), *words],
            capture_output=True, text=True, check=False, timeout=patience(120),
        )  # fmt: skip
        assert done.returncode == 0, f"openssl {command}: {done.stderr}"

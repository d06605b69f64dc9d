"""A realm of Kerberos of a test's own: a KDC in a test host, users with tickets, and the key of the service libvirt."""

import os
import signal
import subprocess
from pathlib import Path

from tests.testhost import TestHost
from tests.waiting import patience, until

REALM = "INSULA.TEST"
_CLIENTS = """[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
default_ccache_name = FILE:{directory}/nobody
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
"""
_KDC = """[kdcdefaults]
kdc_ports = ""
kdc_tcp_ports = {port}
kdc_listen = ""
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {directory}/principal
  key_stash_file = {directory}/stash
  acl_file = {directory}/acl
  supported_enctypes = aes256-cts:normal
  max_life = 1h
}}
[logging]
kdc = FILE:{directory}/kdc.log
"""
_PORT = 7788


class KerberosHost:
    """variables: what leads programs to it; keytab: of the service libvirt on localhost."""

    def __init__(self, host: TestHost, directory: Path) -> None:
        directory.mkdir()
        self._host = host
        self._directory = directory
        self.keytab = directory / "libvirt.keytab"
        values = {"realm": REALM, "directory": directory, "port": _PORT}
        (directory / "krb5.conf").write_text(_CLIENTS.format(**values))
        (directory / "kdc.conf").write_text(_KDC.format(**values))
        self.variables = {
            "KRB5_CONFIG": str(directory / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(directory / "kdc.conf"),
            "KRB5RCACHENAME": f"dfl:{directory}/rcache",
            "KRB5RCACHEDIR": str(directory),
        }
        self._kdc: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the realm and serve it."""
        self._run("kdb5_util", "-r", REALM, "create", "-s", "-P", "master")
        self.service("libvirt", self.keytab)
        with (self._directory / "kdc.out").open("ab") as log:
            environment = {**os.environ, **self.variables}
            self._kdc = self._host.start(
                "krb5kdc", "-n", "-r", REALM, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._serves, "the KDC", 30)

    def service(self, name: str, keytab: Path) -> None:
        """Add the key of a service of localhost to a keytab."""
        self._run("kadmin.local", "-r", REALM, "-q", f"addprinc -randkey {name}/localhost")
        self._run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {keytab} {name}/localhost")

    def ticket(self, user: str) -> dict[str, str]:
        """Return the environment of a new user who has a ticket."""
        self._run("kadmin.local", "-r", REALM, "-q", f"addprinc -pw secret-{user} {user}")
        cache = {"KRB5CCNAME": f"FILE:{self._directory}/{user}"}
        self._run("kinit", user, said=f"secret-{user}\n", more=cache)
        return {**self.variables, **cache, "LC_ALL": "C"}

    def close(self) -> None:
        if self._kdc is not None:
            self._kdc.send_signal(signal.SIGTERM)
            self._kdc.wait(patience(15))

    def _serves(self) -> bool:
        assert self._kdc is not None and self._kdc.poll() is None, (self._directory / "kdc.out").read_text()
        return bool(self._host.run("ss", "-Hltn", f"sport = {_PORT}").stdout.strip())

    def _run(self, *words: str, said: str = "", more: dict[str, str] | None = None) -> None:
        environment = {**os.environ, **self.variables, **(more or {})}
        done = self._host.run(*words, input=said, check=False, env=environment, timeout=patience(60))
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

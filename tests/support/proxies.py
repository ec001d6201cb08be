"""Reverse proxies as the examples in docker/ set them up: real programs, on addresses of a test."""

from __future__ import annotations

import datetime
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from openmeet_bridge.demo.synapse import HOST

from .ports import free_port

DOCKER = Path(__file__).parents[2] / "docker"
API, CHAT = "api.openmeet.example", "chat.openmeet.example"
BACKEND, BRIDGE = "127.0.0.1:3000", "127.0.0.1:8480"

_UNPACKED = Path(sys.prefix) / "proxies" / "usr"
"""Where `make test` has put Debian's packages."""

_SECONDS = 30.0
_POLL = 0.02
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/openmeet.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A running proxy.

    Attributes:
        scheme: How it is spoken to.
        port: Where it listens, for all names.
    """

    scheme: str
    port: int

    def url(self, name: str) -> str:
        """The origin of one of its names."""
        return f"{self.scheme}://{name}:{self.port}"


def program(name: str) -> str:
    """Where a proxy's program is; without it the test is skipped, in CI it fails."""
    variable = f"OPENMEET_BRIDGE_{name.upper()}"
    path = os.pathsep.join([os.defpath, "/usr/sbin", f"{_UNPACKED}/sbin", f"{_UNPACKED}/bin"])
    found = os.environ.get(variable) or shutil.which(name) or shutil.which(name, path=path)
    if found is None:
        reason = f"there is no {name}: `make proxies` gets it, or name yours in {variable}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def replaced(name: str, values: Mapping[str, str]) -> str:
    """An example of docker/ with a test's addresses and paths, each of which is in it."""
    text = (DOCKER / name).read_text("utf-8")
    for old, new in values.items():
        assert old in text, f"{name}: no {old}"
        text = text.replace(old, new)
    return text


def self_signed(file: Path) -> Path:
    """Writes a certificate for both names with its key, signed by itself; returns the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, API)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(API), x509.DNSName(CHAT)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@contextmanager
def nginx(folder: Path, upstreams: Mapping[str, str], certificate: Path) -> Iterator[Proxy]:
    """Runs nginx for the length of the block.

    Args:
        folder: For its files.
        upstreams: Address in the example to address in the test.
        certificate: A file with a certificate for both names, and its key.
    """
    proxy = Proxy("https", free_port())
    values = {
        **upstreams,
        "listen 80;": f"listen {HOST}:{free_port()};",
        "listen 443 ": f"listen {HOST}:{proxy.port} ",
        "/etc/ssl/openmeet/fullchain.pem": str(certificate),
        "/etc/ssl/openmeet/privkey.pem": str(certificate),
        "/var/log/nginx": str(folder),
    }
    (folder / "openmeet.conf").write_text(replaced("nginx.conf.example", values))
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder))
    command = [program("nginx"), "-p", str(folder), "-c", str(file), "-e", f"{folder}/error.log"]
    with _running(command, folder / "error.log", proxy.port, signal.SIGQUIT):
        yield proxy


@contextmanager
def caddy(folder: Path, upstreams: Mapping[str, str]) -> Iterator[Proxy]:
    """Runs Caddy for the length of the block, without TLS: its certificates are its own affair."""
    proxy = Proxy("http", free_port())
    sites = {f"\n{name} {{": f"\nhttp://{name}:{proxy.port} {{" for name in (API, CHAT)}
    file = folder / "Caddyfile"
    options = f"{{\n\tadmin off\n\tdefault_bind {HOST}\n\tgrace_period 1s\n}}\n"
    file.write_text(options + replaced("Caddyfile.example", {**upstreams, **sites}))
    command = [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]
    log = folder / "caddy.log"
    with _running(command, log, proxy.port, signal.SIGTERM, home=folder):
        yield proxy


@contextmanager
def _running(
    command: list[str], log: Path, port: int, end: signal.Signals, home: Path | None = None
) -> Iterator[None]:
    environment = {"PATH": os.defpath, **({"HOME": str(home)} if home else {})}
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
    try:
        _wait_for(process, log, port)
        yield
    finally:
        process.send_signal(end)
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], log: Path, port: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(_POLL)
        else:
            return
        finally:
            connection.close()
    raise AssertionError(f"{process.args!r} does not start:\n{log.read_text(errors='replace')}")

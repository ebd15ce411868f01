"""The relays that Tandem is held against, from Debian: how to install, configure and start them."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from config.ids import Endpoint

PEERS: Final = {
    "turnserver": "coturn",
    "nginx": "nginx-light",
    "/usr/lib/nginx/modules/ngx_stream_module.so": "libnginx-mod-stream",
    "gcc": "gcc",
    "taskset": "util-linux",
}
"""What must be there, and the Debian package that brings it."""

COOKIE: Final = b"\x21\x12\xa4\x42"
CHANNEL: Final = 0x4000
_LIFETIME: Final = 3600


def install(needed: Mapping[str, str] = PEERS) -> None:
    """Install what is missing with apt-get. Ends the bench with the command to type if it may not."""
    missing = sorted({package for what, package in needed.items() if not _found(what)})
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    if os.geteuid() or not shutil.which("apt-get"):
        raise SystemExit(f"the bench needs {', '.join(missing)}; as root: {' '.join(command)}")
    # Debian starts a service that it installs; RUNLEVEL=1 is how one asks it not to.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for attempt in (command, ["apt-get", "update", "-q"], command):
        done = subprocess.run(attempt, check=False, env=environment, capture_output=True, text=True)
        if done.returncode == 0 and attempt is command:
            return
    raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")


def _found(what: str) -> bool:
    return os.path.exists(what) if what.startswith("/") else bool(_which(what))  # noqa: PTH110


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def turnserver(port: int, directory: str) -> Sequence[str]:
    """Coturn: one thread, UDP only, no authentication, loopback peers allowed, no quota."""
    return [
        _which("turnserver") or "turnserver",
        *("-n", "-z", "-m", "0", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port)),
        *("--allow-loopback-peers", "--no-cli", "--no-tcp", "--no-tls", "--no-dtls"),
        *("--no-tcp-relay", "--no-multicast-peers", "--no-stdout-log", "--simple-log"),
        *("--log-file", f"{directory}/turn.log", "--pidfile", f"{directory}/turn.pid"),
        *("--userdb", f"{directory}/turn.db", "--realm", "bench"),
        *("--max-allocate-lifetime", str(_LIFETIME), "--channel-lifetime", str(_LIFETIME)),
        *("--permission-lifetime", str(_LIFETIME)),
    ]


NGINX: Final = """\
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
user root;
worker_rlimit_nofile 65536;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 32768; }}
stream {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} udp rcvbuf=4m sndbuf=4m;
    proxy_pass {backend};
    proxy_timeout 1h;
  }}
}}
"""


def nginx(port: int, directory: str, backend: Endpoint) -> Sequence[str]:
    """Nginx: its stream module as a UDP proxy, one process, no log, nothing else loaded."""
    path = f"{directory}/nginx.conf"
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
        text = NGINX.format(
            port=port, directory=directory, backend=f"{backend.host}:{backend.port}"
        )
        file.write(text)
    return [_which("nginx") or "nginx", "-p", directory, "-c", path, "-e", "stderr"]


def stun(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    """A STUN or TURN request without credentials (RFC 8489, section 5)."""
    body = b"".join(
        type_.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        for type_, value in attributes
    )
    return (
        kind.to_bytes(2, "big")
        + len(body).to_bytes(2, "big")
        + COOKIE
        + secrets.token_bytes(12)
        + body
    )


def allocate() -> bytes:
    """Allocate (RFC 8656, section 7): UDP, for as long as it goes."""
    return stun(0x0003, (0x0019, b"\x11\x00\x00\x00"), (0x000D, _LIFETIME.to_bytes(4, "big")))


def channel_bind(peer: Endpoint) -> bytes:
    """ChannelBind (RFC 8656, section 12) of the one channel to that IPv4 peer."""
    port = (peer.port ^ 0x2112).to_bytes(2, "big")
    host = bytes(a ^ b for a, b in zip(bytes(map(int, peer.host.split("."))), COOKIE, strict=True))
    return stun(
        0x0009, (0x000C, CHANNEL.to_bytes(2, "big") + bytes(2)), (0x0012, b"\x00\x01" + port + host)
    )


def channel_header(size: int) -> bytes:
    """What is before `size` bytes of data in ChannelData (RFC 8656, section 12.4)."""
    return CHANNEL.to_bytes(2, "big") + size.to_bytes(2, "big")


def succeeded(kind: int) -> bytes:
    """How a success response to a request of that kind begins."""
    return (kind | 0x0100).to_bytes(2, "big")

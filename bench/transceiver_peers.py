"""The media servers that Tandem's transceiver is held against: how to install, configure and start them.

Each has a door that speaks what `tandem call` speaks, so that one load generator serves for all:

* **Janus**, Debian's, with its echotest plugin, ICE lite; asked over its Unix socket (peers/janus_door.py).
* **Pion**, Debian's, in an echo of ours (peers/pion/main.go), ICE lite on one UDP port.
* **aiortc**, PyPI's, in an echo of ours (peers/aiortc_echo.py), frames passed through.

Reports, consent and statistics are on wherever a peer has them; logs of good events are off.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench import golang
from bench.appliance import free_port
from bench.placement import placed, started
from bench.relay_peers import install as install_packages
from bench.transceiver_contenders import Contender

_LIBRARY: Final = "/usr/share/gocode/src/github.com/pion/webrtc/api.go"
PACKAGES: Final = {
    "janus": "janus",
    "go": "golang-go",
    _LIBRARY: "golang-github-pion-webrtc.v3-dev",
    "taskset": "util-linux",
}
"""What must be there, and the Debian package that brings it."""

_ROOT: Final = Path(__file__).parent.parent
_SOURCES: Final = _ROOT / "bench" / "peers"
_BUILT: Final = _ROOT / "build" / "bench"
_PION: Final = _BUILT / "pion-echo"
_AIORTC: Final = _BUILT / "aiortc"
AIORTC_PYTHON: Final = str(_AIORTC / "bin" / "python")
"""Has aiortc."""
_STAMP: Final = _AIORTC / ".installed"
_PINNED: Final = _ROOT / "requirements" / "bench.txt"
_READY_WITHIN: Final = 10.0
_TRIES: Final = 20
_UNUSED_PLUGINS: Final = (
    *("audiobridge", "duktape", "lua", "nosip", "recordplay", "sip", "streaming", "textroom"),
    *("videocall", "videoroom", "voicemail"),
)
_UNUSED_TRANSPORTS: Final = ("http", "websockets", "mqtt", "nanomsg", "rabbitmq")
_JANUS: Final = """\
general: {{
  configs_folder = "{directory}"
  plugins_folder = "{libraries}/plugins"
  transports_folder = "{libraries}/transports"
  debug_level = 2
  session_timeout = 0
}}
nat: {{ ice_lite = true }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
_JANUS_SOCKET: Final = """\
general: {{ enabled = true, json = "compact", path = "{directory}/api" }}
"""


def install() -> None:
    """Bring what is missing; minutes the first time, nothing afterwards."""
    install_packages(PACKAGES)
    golang.build(_SOURCES / "pion", _PION)
    _install_aiortc()


def versions() -> dict[str, str]:
    """Of the peers, by name."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "janus", PACKAGES[_LIBRARY]]
    done = subprocess.run(query, capture_output=True, text=True, check=True)
    janus, pion = (line.split()[1] for line in sorted(done.stdout.splitlines(), reverse=True))
    return {"janus": janus, "pion": pion, "aiortc": _pinned("aiortc").partition("==")[2]}


@contextmanager
def running_peers(directory: str, cpu: int, other: int, nice: int = 0) -> Iterator[list[Contender]]:
    """All of them, each confined to `cpu`, their doors to `other`; ended behind you."""
    with ExitStack() as stack:
        janus = stack.enter_context(_janus(directory, cpu, nice))
        door = [sys.executable, "-m", "bench.peers.janus_door", f"{directory}/api"]
        janus_url, _ = stack.enter_context(_door(door, other, nice))
        pion = [str(_PION), "127.0.0.1", str(free_port())]
        pion_url, pion_pid = stack.enter_context(_door(pion, cpu, nice))
        aiortc = [AIORTC_PYTHON, "-m", "bench.peers.aiortc_echo"]
        aiortc_url, aiortc_pid = stack.enter_context(_door(aiortc, cpu, nice))
        yield [
            Contender("janus", janus_url, janus),
            Contender("pion", pion_url, pion_pid),
            Contender("aiortc", aiortc_url, aiortc_pid),
        ]


@contextmanager
def _door(command: list[str], cpu: int, nice: int) -> Iterator[tuple[str, int]]:
    """A process whose first line says where it takes calls; and its id."""
    with started(placed(command, cpu, nice), stdout=subprocess.PIPE, cwd=_ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url.startswith("http"):
            raise SystemExit(f"{' '.join(command)} did not start")
        yield url, process.pid


@contextmanager
def _janus(directory: str, cpu: int, nice: int) -> Iterator[int]:
    folder = Path(directory)
    plugins = ",".join(f"libjanus_{name}.so" for name in _UNUSED_PLUGINS)
    transports = ",".join(f"libjanus_{name}.so" for name in _UNUSED_TRANSPORTS)
    (libraries,) = Path("/usr/lib").glob("*/janus")
    settings = _JANUS.format(
        directory=directory, libraries=libraries, plugins=plugins, transports=transports
    )
    (folder / "janus.jcfg").write_text(settings)
    (folder / "janus.plugin.echotest.jcfg").touch()
    (folder / "janus.transport.pfunix.jcfg").write_text(_JANUS_SOCKET.format(directory=directory))
    command = placed(["janus", "-F", directory, "-o"], cpu, nice)
    # Its transport is a thread that ends at once if it runs before the flag that it looks at is set, as
    # happens on a busy CPU; Janus then ends, too, and starts at a later try.
    for _ in range(_TRIES):
        with started(command, stdout=subprocess.DEVNULL) as process:
            if _listens(folder / "api", process):
                yield process.pid
                return
    raise SystemExit("janus did not start")


def _listens(path: Path, process: subprocess.Popen[str]) -> bool:
    """True once it does, False if the process has ended or takes too long."""
    deadline = time.monotonic() + _READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            if probe.connect_ex(str(path)) == 0:
                time.sleep(0.2)
                return process.poll() is None
    return False


def _install_aiortc() -> None:
    """In an environment of its own: nothing of ours has to agree with what it needs."""
    version = _pinned("aiortc")
    if _STAMP.exists() and _STAMP.read_text() == version:
        return
    print("installing aiortc", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_AIORTC)], check=True)
    pip = [AIORTC_PYTHON, "-m", "pip", "install", "--quiet"]
    options = ["--disable-pip-version-check", "--require-hashes", "-r", str(_PINNED)]
    subprocess.run([*pip, *options], check=True, stderr=subprocess.DEVNULL)
    _STAMP.write_text(version)


def _pinned(name: str) -> str:
    for line in _PINNED.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}=="):
            return line.split()[0]
    raise SystemExit(f"{_PINNED} does not pin {name}")

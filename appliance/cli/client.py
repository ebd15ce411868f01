"""Asks the running appliance over its admin socket; blocking, one question at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from appliance.cli.failure import Failed
from appliance.cli.help import WHICH
from appliance.cli.settings import config_option, find_file, read_config
from appliance.supervisor.directories import find_admin_socket, is_there
from appliance.supervisor.problems import EXIT_CONFIG, EXIT_UNAVAILABLE
from config.model import Config, SupervisorSection
from ipc.curve import ClientCurve, read_public, read_secret
from ipc.messages import Message
from ipc.rpc import RpcFailed, RpcTimeout, call_blocking
from ipc.zmq_trio import NotAllowed, Unreachable, key_pair_of

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
WITHIN: Final = 5.0
"""Seconds to wait for an answer."""
UNIT: Final = "tandem.service"
_UNITS: Final = tuple(
    Path(directory, "systemd/system") for directory in ("/etc", "/run", "/usr/lib", "/lib")
)
Reply = TypeVar("Reply")


class Line(NamedTuple):
    """The way to an appliance."""

    endpoint: str
    """Of ZeroMQ."""
    name: str
    """As messages call it."""
    curve: ClientCurve | None = None
    """Keys, if it is on another host."""


runtime_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--runtime-directory",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the appliance keeps its sockets. Default: found as `tandem run` finds it.",
)
_Option = Callable[[Callable[..., None]], Callable[..., None]]
_remote_options: tuple[_Option, ...] = (
    click.option(
        "--connect",
        envvar="TANDEM_CONNECT",
        show_envvar=True,
        metavar="tcp://HOST:PORT",
        help="An appliance on another host, at an address of its admin.listen.",
    ),
    click.option(
        "--server-key",
        type=click.Path(path_type=Path),
        envvar="TANDEM_SERVER_KEY",
        show_envvar=True,
        metavar="FILE",
        help="With --connect: its public key (there: tandem keys curve --server).",
    ),
    click.option(
        "--client-key",
        type=click.Path(path_type=Path),
        envvar="TANDEM_CLIENT_KEY",
        show_envvar=True,
        metavar="FILE",
        help="With --connect: your secret key (tandem keys curve). Default: ~/.config/tandem/admin.key.",
    ),
)
json_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, every field in it."
)


def appliance_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Options that say which appliance is meant; the verb gets them as one `line`."""

    @wraps(verb)
    def with_line(**given: Any) -> None:
        others = {name: value for name, value in given.items() if name not in WHICH}
        verb(line=line_of(given), **others)

    decorated: Callable[..., None] = with_line
    options: tuple[_Option, ...] = (*reversed(_remote_options), runtime_option, config_option)
    for option in options:
        decorated = option(decorated)
    return decorated


def line_of(given: Mapping[str, Any]) -> Line:
    """The way that these options name.

    Raises Failed if the configuration has mistakes, unless an appliance is found without it: one that runs
    has refused them.
    """
    if connect := given.get("connect"):
        return _remote_line(connect, given.get("server_key"), given.get("client_key"))
    directory = given.get("directory")
    try:
        config = read_config(find_file(given.get("file")))
    except Failed:
        config = Config()
        if directory is None and not is_there(find_admin_socket(config.supervisor)):
            raise
    return admin_socket(config, directory)


def client_key_file() -> Path:
    """Where an operator's own secret key is, unless said otherwise."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "tandem" / "admin.key"


def _remote_line(connect: str, server_key: Path | None, client_key: Path | None) -> Line:
    if not re.fullmatch(r"tcp://(\[[0-9a-fA-F:]+\]|[^:/\[\]]+):\d{1,5}", connect):
        raise click.BadParameter(f"{connect!r} is not tcp://HOST:PORT", param_hint="--connect")
    if server_key is None:
        raise click.UsageError("--connect needs --server-key: whom would you talk to?")
    own = client_key or client_key_file()
    return Line(
        connect,
        connect,
        ClientCurve(
            key_pair_of(_read_key(read_secret, own, "make one with: tandem keys curve")),
            _read_key(read_public, server_key, "on that host: tandem keys curve --server"),
        ),
    )


def _read_key(read: Callable[[Path], str], path: Path, advice: str) -> str:
    try:
        return read(path)
    except OSError as error:
        why = error.strerror
    except ValueError as error:
        why = str(error)
    raise Failed([f"tandem: {path}: {why}", advice], EXIT_CONFIG)


def admin_socket(config: Config, directory: Path | None) -> Line:
    """Where the appliance of that configuration listens for operators."""
    section = config.supervisor
    if directory is not None:
        section = SupervisorSection(runtime_directory=str(directory.absolute()))
    path = find_admin_socket(section)
    return Line(f"ipc://{path}", str(path))


def ask(
    line: Line,
    question: Message,
    expected: type[Reply],
    within: float = WITHIN,
    *,
    refused: int = EXIT_REFUSED,
) -> Reply:
    """The appliance's answer. Raises Failed if there is none, or if it is not the one expected.

    `refused`: the exit code if the appliance does not want to, and says why.
    """
    return expect(line, say(line, question, within, refused=refused), expected)


def say(
    line: Line, question: Message, within: float = WITHIN, *, refused: int = EXIT_REFUSED
) -> Message:
    """Whatever the appliance answers. Raises Failed if it does not."""
    try:
        return call_blocking(line.endpoint, question, within, line.curve)
    except NotAllowed as error:
        lines = _not_ours(error) if line.curve is None else _not_let_in(error, line.curve)
        raise Failed(lines, EXIT_UNAVAILABLE) from None
    except Unreachable as error:
        raise Failed(_nobody(error), EXIT_UNAVAILABLE) from None
    except RpcTimeout:
        raise Failed(
            [f"tandem: the appliance at {line.name} did not answer within {within:g} s"],
            EXIT_UNAVAILABLE,
        ) from None
    except RpcFailed as error:
        raise Failed([f"tandem: the appliance could not: {error}"], refused) from None


def expect(line: Line, reply: Message, expected: type[Reply]) -> Reply:
    """The reply, if it is one of that kind; else Failed."""
    if not isinstance(reply, expected):
        what = f"tandem: the appliance at {line.name} answered with {type(reply).__name__}"
        raise Failed([what, "Is it of another version?"], EXIT_UNAVAILABLE)
    return reply


def _not_ours(error: NotAllowed) -> list[str]:
    return [
        f"tandem: the appliance is another user's: {error}",
        "Ask as that user or as root, or join the group that its directory belongs to.",
    ]


def _not_let_in(error: NotAllowed, curve: ClientCurve) -> list[str]:
    return [
        f"tandem: the appliance does not let us in: {error}",
        f'Is our public key in its admin.clients? NAME = "{curve.own.public}"',
        "Is --server-key its key? There: tandem keys curve --server",
    ]


def _nobody(error: Unreachable) -> list[str]:
    by_systemd = any((directory / UNIT).exists() for directory in _UNITS)
    start = "Ask with: systemctl status tandem" if by_systemd else "Start it with: tandem run"
    return [
        f"tandem: no appliance answers: {error}",
        f"Is it running? {start}",
        "Has it a configuration or directory of its own? Name it: -c FILE, --runtime-directory DIR",
    ]

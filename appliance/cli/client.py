"""Asks the running appliance over its admin socket; blocking, one question at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from appliance.cli.failure import Failed
from appliance.cli.settings import config_option, find_file, read_config
from appliance.supervisor.directories import find_admin_socket
from appliance.supervisor.problems import EXIT_UNAVAILABLE
from config.model import Config, SupervisorSection
from ipc.messages import Message
from ipc.rpc import RpcFailed, RpcTimeout, call_blocking
from ipc.zmq_trio import NotAllowed, Unreachable

WITHIN: Final = 5.0
"""Seconds to wait for an answer."""
_WHICH: Final = ("file", "directory")
"""Names of the options that say which appliance is meant."""
Reply = TypeVar("Reply")


class Line(NamedTuple):
    """The way to an appliance."""

    endpoint: str
    """Of ZeroMQ."""
    name: str
    """As messages call it."""


runtime_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--runtime-directory",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the appliance keeps its sockets. Default: found as `tandem run` finds it.",
)
json_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, every field in it."
)


def appliance_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Options that say which appliance is meant; the verb gets them as one `line`."""

    @config_option
    @runtime_option
    @wraps(verb)
    def with_line(**given: Any) -> None:
        others = {name: value for name, value in given.items() if name not in _WHICH}
        verb(line=line_of(given), **others)

    return with_line


def line_of(given: Mapping[str, Any]) -> Line:
    """The way that these options name. Raises Failed if the configuration has mistakes."""
    return admin_socket(read_config(find_file(given.get("file"))), given.get("directory"))


def admin_socket(config: Config, directory: Path | None) -> Line:
    """Where the appliance of that configuration listens for operators."""
    section = config.supervisor
    if directory is not None:
        section = SupervisorSection(runtime_directory=str(directory.absolute()))
    path = find_admin_socket(section)
    return Line(f"ipc://{path}", str(path))


def ask(line: Line, question: Message, expected: type[Reply], within: float = WITHIN) -> Reply:
    """The appliance's answer. Raises Failed if there is none, or if it is not the one expected."""
    return expect(line, say(line, question, within), expected)


def say(line: Line, question: Message, within: float = WITHIN) -> Message:
    """Whatever the appliance answers. Raises Failed if it does not."""
    try:
        return call_blocking(line.endpoint, question, within)
    except NotAllowed as error:
        raise Failed(_not_ours(error), EXIT_UNAVAILABLE) from None
    except Unreachable as error:
        raise Failed(_nobody(error), EXIT_UNAVAILABLE) from None
    except RpcTimeout:
        raise Failed(
            [f"tandem: the appliance at {line.name} did not answer within {within:g} s"],
            EXIT_UNAVAILABLE,
        ) from None
    except RpcFailed as error:
        raise Failed([f"tandem: the appliance could not: {error}"], EXIT_UNAVAILABLE) from None


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


def _nobody(error: Unreachable) -> list[str]:
    return [
        f"tandem: no appliance answers: {error}",
        "Is it running? Start it with: tandem run",
        "Has it a configuration or directory of its own? Name it: -c FILE, --runtime-directory DIR",
    ]

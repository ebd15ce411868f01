"""Asks the running appliance over its admin socket; blocking, one question a process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from appliance.cli.failure import Failed
from appliance.supervisor.directories import find_admin_socket
from appliance.supervisor.problems import EXIT_UNAVAILABLE
from config.model import Config, SupervisorSection
from ipc.messages import Message
from ipc.rpc import RpcFailed, RpcTimeout, call_blocking
from ipc.zmq_trio import NotAllowed, Unreachable

WITHIN: Final = 5.0
"""Seconds to wait for an answer."""
Reply = TypeVar("Reply")

runtime_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--runtime-directory",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the appliance keeps its sockets. Default: found as `tandem run` finds it.",
)


def admin_socket(config: Config, directory: Path | None) -> Path:
    """Where the appliance of that configuration listens for operators."""
    section = config.supervisor
    if directory is not None:
        section = SupervisorSection(runtime_directory=str(directory.absolute()))
    return find_admin_socket(section)


def ask(socket: Path, question: Message, expected: type[Reply], within: float = WITHIN) -> Reply:
    """The appliance's answer. Raises Failed if there is none, or if it is not the one expected."""
    try:
        reply = call_blocking(f"ipc://{socket}", question, within)
    except NotAllowed as error:
        raise Failed(_not_ours(error), EXIT_UNAVAILABLE) from None
    except Unreachable as error:
        raise Failed(_nobody(error), EXIT_UNAVAILABLE) from None
    except RpcTimeout:
        raise Failed(
            [f"tandem: the appliance at {socket} did not answer within {within:g} s"],
            EXIT_UNAVAILABLE,
        ) from None
    except RpcFailed as error:
        raise Failed([f"tandem: the appliance could not: {error}"], EXIT_UNAVAILABLE) from None
    if not isinstance(reply, expected):
        what = f"tandem: the appliance at {socket} answered with {type(reply).__name__}"
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

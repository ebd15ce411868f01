"""`tandem keys`: `list`, `rotate`, `curve`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import click

from appliance.cli.client import Line, appliance_options, ask, client_key_file, json_option
from appliance.cli.failure import Failed
from appliance.cli.help import Group
from appliance.cli.settings import find_file, read_config
from appliance.supervisor.directories import find_state, prepare_state
from appliance.supervisor.own_keys import write_private
from appliance.supervisor.problems import EXIT_CONFIG, CannotStart
from appliance.supervisor.remote import server_keys
from ipc.curve import read_secret
from ipc.messages.keys import KeysReply, KeysRequest, RotateKeys
from ipc.zmq_trio import key_pair_of, make_key_pair

WITHIN: Final = 600.0
"""Seconds: workers are replaced one after the other."""


@click.group(
    cls=Group,
    epilog="""\b
Examples:
  tandem keys list
  tandem keys rotate
  tandem keys rotate --drop 0
  tandem keys curve""",
)
def command() -> None:
    """Show the keys that seal routes into ufrags, make a new one, or a pair for --connect."""


@command.command(
    "list",
    short_help="Show ids, fingerprints and ages.",
    epilog="""\b
Examples:
  tandem keys list
  tandem keys list --json | jq -r '.keys[] | select(.mints) | .id'""",
)
@appliance_options
@json_option
def list_(line: Line, as_json: bool) -> None:
    """Show the keys: id, fingerprint, age, and which one mints. Never the key itself.

    The id is the first character of every ufrag that the key seals. Hosts of a cluster must show the same
    fingerprints.
    """
    _show(ask(line, KeysRequest(), KeysReply), as_json)


@command.command(
    short_help="Make a new key for the host, or drop an old one.",
    epilog="""\b
Examples:
  tandem keys rotate
  tandem keys rotate --drop 0""",
)
@appliance_options
@click.option("--drop", default="", metavar="ID", help="Make none; forget this old one.")
@json_option
def rotate(line: Line, drop: str, as_json: bool) -> None:
    """Make a new key of the host's own, or drop an old one. Live calls go on.

    First relays and signaling learn the new key, then transceivers mint with it; workers are replaced for
    that, as by `tandem reload --roll`. Sessions and client secrets of the old key stay good until it is
    dropped, and the last four are kept. Keys of the operator's (ufrag.keys) are rotated in the
    configuration.
    """
    _show(ask(line, RotateKeys(drop), KeysReply, within=WITHIN), as_json)


@command.command(
    short_help="Make a pair for --connect.",
    epilog="""\b
Examples:
  tandem keys curve
  tandem keys curve --server > edge-1.pub
  tandem status --connect tcp://192.0.2.1:7788 --server-key edge-1.pub""",
)
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration, with --server.",
)
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@click.option("--server", is_flag=True, help="Print this host's own public key instead.")
@json_option
def curve(config_file: Path | None, file: Path | None, server: bool, as_json: bool) -> None:
    """Make a secret key of yours for --connect, and print the public one.

    The secret key goes to FILE, or to ~/.config/tandem/admin.key; one that is there stays. The public key
    goes into admin.clients of each host that is to let you in. With --server: print the public key of this
    host, made if need be, for --server-key elsewhere; that takes its state directory, so ask as its user or
    as root.
    """
    if server:
        state = find_state(read_config(find_file(config_file)).supervisor)
        try:
            _become_owner(state)
            prepare_state(state)
            _print_public(server_keys(state).public, as_json)
        except CannotStart as error:
            raise Failed(error.problems, EXIT_CONFIG) from None
        return
    path = file or client_key_file()
    try:
        if path.exists():
            pair = key_pair_of(read_secret(path))
        else:
            pair = make_key_pair()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, pair.secret + "\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Failed([f"tandem: {path}: {why}"], EXIT_CONFIG) from None
    _print_public(pair.public, as_json)


def _print_public(key: str, as_json: bool) -> None:
    click.echo(json.dumps({"public": key}, indent=2) if as_json else key)


def _become_owner(state: Path) -> None:
    """Root asks as the appliance's user, who must be able to read what is made there."""
    if os.geteuid() == 0 and state.exists():
        owner = state.stat()
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)


def _show(reply: KeysReply, as_json: bool) -> None:
    from appliance.cli import render
    from appliance.cli.views.keys import keys_view

    if as_json:
        click.echo(render.as_json(reply))
    else:
        render.show(keys_view(reply))

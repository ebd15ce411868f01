"""`tandem`: one verb a file in `commands/`, imported only when that verb is used.

So `tandem --help` answers at once, and `tandem status` does not wait for what `tandem run` needs.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Final

import click

VERBS: Final = {
    "run": "Start the appliance and serve until told to stop.",
    "status": "Show the appliance and its workers.",
    "top": "Watch the appliance live: load, traffic, loss, with sparklines.",
    "workers": "Show the processes in detail.",
    "sessions": "List the live sessions, look at one, or end one.",
    "flows": "List the flows of the relays: who talks to which transceiver.",
    "places": "Show where relays and hosts are, and which of them answers name.",
    "trace": "Follow a ufrag, a session or a client to its end.",
    "events": "Show what has happened: to the appliance, to workers, to sessions.",
    "logs": "Show the log of the appliance: from the journal, or from the file that it goes to.",
    "drain": "Take no new sessions; those that there are go on.",
    "undrain": "Take sessions again: take back `tandem drain`.",
    "reload": "Let the appliance read its configuration again.",
    "upgrade": "Run the version that is installed now, without ending a call.",
    "config": "Check a configuration, show what it comes to, or what a reload would do.",
    "keys": "Show the keys that seal routes into ufrags, make a new one, or a pair for --connect.",
    "doctor": "Look for what is wrong with this host and the appliance on it, and say what to change.",
    "call": "Call a server like a browser would, and measure.",
}
"""First line of each command's help, here so that the overview imports none of them."""


class _Verbs(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and (meant := get_close_matches(args[0], VERBS, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant[0]!r}?")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"appliance.cli.commands.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  tandem run
  tandem run -c /etc/tandem/tandem.toml
  tandem status --json
  tandem sessions show rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2
  tandem trace 203.0.113.9:51820
  tandem reload
  tandem call http://127.0.0.1:8080/v1/realtime/calls --count 20 --seconds 10

\b
Exit codes:
  0   done
  1   it was done, and the answer is no: some calls of `tandem call` failed,
      the appliance refused, `tandem reload` or `tandem upgrade` was given
      up, `tandem config diff` found differences, `tandem drain` has waited
      in vain, there is no such session, `tandem trace` leads nowhere,
      `tandem doctor` has found something that does not work
  2   wrong usage
  69  no appliance runs, or something it needs is taken (an address, its
      directory)
  70  a bug: the traceback says where
  78  the configuration cannot be used; each problem is printed with its line""",
)
@click.version_option(None, "-V", "--version", package_name="tandem", message="tandem %(version)s")
def main() -> None:
    """An open WebRTC edge for voice AI: relays in front of transceivers, one UDP port."""


if __name__ == "__main__":
    main(prog_name="tandem")

"""`tandem`: one verb a file in `commands/`, imported only when that verb is used.

So `tandem --help` answers at once, and `tandem status` does not wait for what `tandem run` needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

VERBS: Final = {
    "run": "Start the appliance and serve until told to stop.",
    "status": "Show the appliance and its workers.",
    "drain": "Take no new sessions; those that there are go on.",
    "undrain": "Take sessions again: take back `tandem drain`.",
    "reload": "Let the appliance read its configuration again.",
    "sessions": "List the live sessions.",
    "call": "Call a server like a browser would, and measure.",
    "config": "Check a configuration, show what it comes to, or what a reload would do.",
}
"""First line of each command's help, here so that the overview imports none of them."""


class _Verbs(click.Group):
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
  tandem reload
  tandem call http://127.0.0.1:8080/v1/realtime/calls --count 20 --seconds 10

\b
Exit codes:
  0   done
  1   some of the calls of `tandem call`, or a part of `tandem reload`, did not go as it should;
      or `tandem config diff` found differences, or `tandem drain` has waited in vain
  2   wrong usage
  69  no appliance runs, or something it needs is taken (an address, its directory)
  70  a bug: the traceback says where
  78  the configuration cannot be used; each problem is printed with its line""",
)
@click.version_option(None, "-V", "--version", package_name="tandem", message="tandem %(version)s")
def main() -> None:
    """An open WebRTC edge for voice AI: relays in front of transceivers, one UDP port."""


if __name__ == "__main__":
    main(prog_name="tandem")

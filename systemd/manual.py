"""Writes the manual page tandem(1) from the command line's own help: `manual.py VERSION`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import click

from appliance.cli.commands.status import command as status
from appliance.cli.help import WHICH
from appliance.cli.main import VERBS, main

_WHICH = """Commands that ask an appliance have these options, too: doctor, upgrade and logs the
first two, run and "keys curve" the first."""


def escape(text: str) -> str:
    """Text as roff shows it unchanged."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        "\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n")
    )


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a click help text; one that begins with \\b keeps its lines."""
    for block in text.strip().split("\n\n"):
        if block.startswith("\b"):
            yield ".PP\n.nf\n" + escape(block.lstrip("\b\n")) + "\n.fi"
        else:
            yield ".PP\n" + escape(" ".join(block.split()))


def options(
    command: click.Command, context: click.Context, wanted: Callable[[str], bool]
) -> Iterator[str]:
    """Those of a command whose names are wanted; all have --help."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        is_option = isinstance(parameter, click.Option) and "--help" not in parameter.opts
        if is_option and record is not None and wanted(parameter.name or ""):
            yield f".TP\n.B {escape(record[0])}\n{escape(record[1])}"


def command_page(path: str, command: click.Command) -> Iterator[str]:
    """One command's section, and those of its own commands."""
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {escape(path)} {escape(usage)}"
    yield from paragraphs(command.help or "")
    yield from options(command, context, lambda name: name not in WHICH)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (child := command.get_command(context, name)) is not None:
                yield from command_page(f"{path} {name}", child)
    yield from paragraphs(command.epilog or "")


def manual(version: str) -> str:
    """The whole page."""
    context = click.Context(main, info_name="tandem")
    lines = [
        f'.TH TANDEM 1 "" "tandem {escape(version)}"',
        ".SH NAME",
        "tandem \\- " + escape((main.help or "").rstrip(".")),
        ".SH SYNOPSIS",
        ".B tandem\n.I COMMAND\n[options]",
        ".SH COMMANDS",
    ]
    for verb in VERBS:
        if (command := main.get_command(context, verb)) is not None:
            lines += command_page(verb, command)
    lines += [
        ".SH WHICH APPLIANCE",
        *paragraphs(_WHICH),
        *options(status, context, lambda name: name in WHICH),
        ".SH NOTES",
        *paragraphs(main.epilog or ""),
    ]
    lines += [
        ".SH FILES",
        ".TP\n.I /etc/tandem/tandem.toml\nThe configuration; every key stands in it with its default.",
        ".TP\n.I /run/tandem\nSockets of the running appliance.",
        ".TP\n.I /var/lib/tandem\nThe host's key and the last epoch.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(manual(sys.argv[1]))

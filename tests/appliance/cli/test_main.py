from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from appliance.cli.main import VERBS, main

HEAVY = ("trio", "rich", "pydantic", "zmq", "msgspec", "structlog", "config.model", "ipc")


def test_the_overview_names_every_verb_and_exit_code() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for word in (*VERBS, "Examples:", "Exit codes:", "69", "70", "78"):
        assert word in result.output


def test_the_overview_loads_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from appliance.cli.main import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_the_overview_says_what_the_verb_says(verb: str) -> None:
    command: click.Command = import_module(f"appliance.cli.commands.{verb}").command
    assert command.help is not None
    assert command.help.splitlines()[0] == VERBS[verb]


@pytest.mark.parametrize("verb", [v for v in VERBS if v != "call"])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_verb_explains_itself_with_examples(verb: str, flag: str) -> None:
    result = CliRunner().invoke(main, [verb, flag])
    assert result.exit_code == 0
    assert f"tandem {verb}" in result.output.partition("Examples:")[2]


@pytest.mark.parametrize("verb", [*([v] for v in VERBS if v != "call"), []])
def test_help_fits_into_eighty_columns(verb: list[str]) -> None:
    output = CliRunner().invoke(main, [*verb, "--help"], terminal_width=80).output
    assert [line for line in output.splitlines() if len(line) > 80] == []


def test_a_verb_that_is_nearly_one() -> None:
    result = CliRunner().invoke(main, ["sesions"])
    assert result.exit_code == 2
    assert "Did you mean 'sessions'?" in result.output


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.startswith("tandem ")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "arguments", [["dance"], ["--loud"], ["status", "--loud"], ["run", "extra"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output

"""What is asked for most often stands where it is seen first."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from appliance.cli.main import main


def help_of(*verb: str) -> str:
    result = CliRunner().invoke(main, [*verb, "--help"], terminal_width=80, max_content_width=80)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("verb", [["events"], ["sessions"], ["sessions", "list"], ["doctor"]])
def test_own_options_come_before_those_that_say_which_appliance(verb: list[str]) -> None:
    own, _, which = help_of(*verb).partition("Which appliance:")
    assert "--json" in own
    assert "--runtime-directory" not in own
    assert "--config" in which
    assert "Options:" not in which


def test_a_group_names_its_commands_once_and_first() -> None:
    said = help_of("sessions")
    assert said.count("Commands:") == 1
    assert said.index("Commands:") < said.index("Options:")


@pytest.mark.parametrize("verb", [["config", "check"], ["keys", "curve"], ["sessions", "show"]])
def test_an_argument_is_no_option(verb: list[str]) -> None:
    _, _, options = help_of(*verb).partition("Options:")
    assert "[FILE]" not in options
    assert "  ID" not in options

from __future__ import annotations

import click
from click.testing import CliRunner

from appliance.cli.failure import Failed


def test_lines_go_to_standard_error_as_they_are() -> None:
    @click.command()
    def fail() -> None:
        raise Failed(["one", "two [x]"], 69)

    result = CliRunner().invoke(fail)
    assert result.exit_code == 69
    assert result.stderr == "one\ntwo [x]\n"
    assert result.stdout == ""

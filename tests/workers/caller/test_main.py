"""What an operator types, and what comes back when there is nobody to call."""

from __future__ import annotations

import json
import socket

import pytest
from click.testing import CliRunner

from workers.caller.__main__ import main


@pytest.fixture
def nobody() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/whip/echo"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "Missing argument 'URL'"),
        (["http://x/", "--count", "0"], "--count"),
        (["http://x/", "--seconds", "nan"], "--seconds"),
        (["http://x/", "--rate", "-1"], "--rate"),
        (["http://x/", "--wav", "/nowhere.wav"], "No such file"),
        (["http://x/", "--wav", __file__], "not a PCM WAV file"),
        (["http://x/", "--no-audio"], "--no-audio goes with --data"),
        (["http://x/", "--restart", "-1"], "--restart"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], why: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert why in result.output


def test_json_is_one_object_also_when_nothing_worked(nobody: str) -> None:
    result = CliRunner().invoke(main, [nobody, "--count", "2", "--json"])
    assert result.exit_code == 1
    fields = json.loads(result.stdout)
    assert (fields["sessions_ok"], fields["sessions_failed"]) == (0, 2)
    assert fields["errors"][0]["count"] == 2
    assert "Connection refused" in fields["errors"][0]["error"]
    assert fields["sessions_per_second"] is None


def test_the_table_names_the_error_in_plain_text(nobody: str) -> None:
    result = CliRunner().invoke(main, [nobody])
    assert result.exit_code == 1
    assert "1 failed" in result.output
    assert "Connection refused" in result.output


def test_a_url_that_is_none() -> None:
    result = CliRunner().invoke(main, ["nonsense", "--json"])
    assert result.exit_code == 1
    assert "not an http or https URL" in json.loads(result.stdout)["errors"][0]["error"]

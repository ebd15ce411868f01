from __future__ import annotations

import pytest
from click.testing import CliRunner

from appliance.cli.main import main


@pytest.mark.parametrize(
    "wrong",
    [
        ["--near", "paris"],
        ["--near", "91,0"],
        ["--near", "0,181"],
        ["--near", "48.9"],
        ["--near", "nan,0"],
        ["--country", "FRA"],
    ],
)
def test_where_nobody_can_be_is_wrong_usage(wrong: list[str]) -> None:
    done = CliRunner().invoke(main, ["places", *wrong])
    assert done.exit_code == 2
    assert f"{wrong[1]!r} is not" in done.output

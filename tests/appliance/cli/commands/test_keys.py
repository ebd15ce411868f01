"""The host's public key, asked for by root before the appliance has made it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.short_path import short_directory as short_directory


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's directory takes root")
def test_root_asks_as_the_appliance_s_user(short_directory: Path) -> None:
    short_directory.chmod(0o711)
    state = short_directory / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 12345, 12346)
    config = short_directory / "tandem.toml"
    config.write_text(f'[supervisor]\nstate_directory = "{state}"\n')
    command = [
        sys.executable,
        "-m",
        "appliance.cli.main",
        "keys",
        "curve",
        "--server",
        "-c",
        str(config),
    ]
    asked = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    assert len(asked[0].stdout.strip()) == 40
    assert asked[0].stdout == asked[1].stdout
    made = (state / "admin.key").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (12345, 12346, 0o600)

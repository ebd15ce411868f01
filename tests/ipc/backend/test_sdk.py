"""The SDK alone: its wheel in an environment of its own, spoken to over a real socket."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest
import trio

from ipc.backend.codec import decode_from_backend, encode_batch
from ipc.backend.messages import (
    AudioIn,
    AudioOut,
    Credit,
    FromBackend,
    Hello,
    SessionStarted,
    ToBackend,
)
from ipc.zmq_trio import Pattern, ZmqSocket
from tests.support.appliance import TREE
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.process
AGENT: Final = Path(__file__).with_name("sdk_agent.py")
UV: Final = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sdk")
    subprocess.run([sys.executable, TREE / ".ci" / "sdk.py", directory], check=True)
    (found,) = directory.glob("*.whl")
    return found


def test_it_has_one_top_level_name_and_no_import_of_the_house(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert {name.split("/")[0].partition("-")[0] for name in names} == {"tandem_backend"}
        assert "tandem_backend/py.typed" in names
        for name in names:
            if name.endswith(".py"):
                source = archive.read(name).decode()
                assert not re.search(r"\b(import|from) ipc\b", source), name


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that has the wheel and nothing of the house."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, wheel], check=True)
    return python


def test_what_its_page_shows_runs_as_it_stands(python: Path, tmp_path: Path) -> None:
    page = (TREE / "docs" / "backend.md").read_text()
    files = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["agent.py", "test_agent.py"]
    for name, source in files:
        (tmp_path / name).write_text(source)
    (test,) = re.findall(r"^def (test_\w+)", files[1][1], re.MULTILINE)
    program = f"import test_agent; test_agent.{test}()"
    subprocess.run([python, "-c", program], cwd=tmp_path, check=True)


async def test_an_agent_runs_on_it_alone(
    python: Path, tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    with (
        subprocess.Popen([python, AGENT, endpoint], cwd=tmp_path, stdout=subprocess.PIPE) as agent,
        ZmqSocket(Pattern.DEALER) as socket,
    ):
        try:
            assert agent.stdout is not None
            assert await trio.to_thread.run_sync(agent.stdout.readline) == b"rehearsed\n"
            socket.connect(endpoint)
            said: list[ToBackend] = [
                Hello("transceiver", instance="1"),
                SessionStarted("s", "agent"),
                AudioIn("s", 0, b"frame"),
            ]
            await socket.send([encode_batch(said)])
            heard: list[FromBackend] = []
            with trio.fail_after(20):
                while not any(isinstance(item, AudioOut) for item in heard):
                    (data,) = await socket.receive()
                    heard += decode_from_backend(data)
        finally:
            agent.kill()
    assert any(isinstance(item, Credit) for item in heard)
    assert AudioOut("s", b"frame") in heard

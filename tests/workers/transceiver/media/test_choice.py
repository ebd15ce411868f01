"""Which plane runs, and what is said of it."""

from __future__ import annotations

import socket
import sys
from contextlib import AbstractContextManager

import pytest

from config.model import MediaChoice
from tests.support.media import MTU, udp
from workers.native import NotBuilt, load_media
from workers.transceiver.media.base import MediaPlane
from workers.transceiver.media.choice import open_plane
from workers.transceiver.media.native import NativePlane
from workers.transceiver.media.python import PythonPlane


def opened(
    wanted: MediaChoice, link: socket.socket
) -> AbstractContextManager[tuple[MediaPlane, str]]:
    return open_plane(
        wanted, link, mtu=MTU, peers=[], max_streams=1, clock=lambda: 0.0, clock_offset=0.0
    )


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "workers.native._media", None)


@pytest.fixture
def with_compiler() -> None:
    try:
        load_media()
    except NotBuilt as reason:
        pytest.skip(str(reason))


@pytest.mark.usefixtures("with_compiler")
@pytest.mark.parametrize("wanted", [MediaChoice.AUTO, MediaChoice.NATIVE])
def test_the_native_one_where_there_is_one(wanted: MediaChoice) -> None:
    with udp() as link:
        with opened(wanted, link) as (plane, note):
            assert isinstance(plane, NativePlane)
            assert note == "native"
            plane.flush()
        assert link.fileno() >= 0  # it stays with its owner


def test_python_if_that_is_wanted() -> None:
    with udp() as link, opened(MediaChoice.PYTHON, link) as (plane, note):
        assert isinstance(plane, PythonPlane)
        assert note == "python (chosen in the configuration)"


@pytest.mark.usefixtures("without_compiler")
def test_python_where_nothing_is_built() -> None:
    with udp() as link, opened(MediaChoice.AUTO, link) as (plane, note):
        assert isinstance(plane, PythonPlane)
        assert note.startswith("python (no native one is built")


@pytest.mark.usefixtures("without_compiler")
def test_nothing_where_only_the_native_one_will_do() -> None:
    with udp() as link, pytest.raises(NotBuilt), opened(MediaChoice.NATIVE, link):
        raise AssertionError("it opened")

"""Every target stands its seeds, what once broke it, and a little damage; `make fuzz` goes on."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.fuzz import corpora, targets
from tests.fuzz.targets import TARGETS
from tests.workers.native import seeds

FINDINGS: Final = Path(__file__).with_name("findings")
SLOW: Final = {"session": 10, "admission": 60, "association": 60, "config": 60, "house": 10}
ROUNDS: Final = 400


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_once_broke_it(name: str) -> None:
    given = list(TARGETS[name].seeds())
    assert given
    assert all(given)
    for data in (*given, *corpora.read(name)):
        TARGETS[name].run(data)
    for finding in sorted((FINDINGS / name).glob("*")):
        TARGETS[name].run(finding.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_seeds(name: str) -> None:
    random = Random(name)
    given = list(TARGETS[name].seeds())
    for _ in range(SLOW.get(name, ROUNDS)):
        data = bytearray(random.choice(given))
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(data) + 1)
            match random.randrange(4):
                case 0:
                    data[at:at] = random.randbytes(random.randint(1, 9))
                case 1:
                    del data[at : at + random.randint(1, 9)]
                case 2:
                    data[at : at + 1] = random.randbytes(1)
                case _:
                    data[at:at] = data[: random.randint(0, 40)]
        TARGETS[name].run(bytes(data))


def test_claims_that_are_signed_are_read() -> None:
    _, claims = TARGETS["client_secret"].seeds()
    known = targets._secrets().read(targets._signed(claims))
    assert known is not None
    assert (known.grant.key, known.expires_at) == ("a", 61)


def test_every_finding_has_a_target() -> None:
    assert {path.name for path in FINDINGS.glob("*") if path.is_dir()} <= set(TARGETS)


def test_every_target_has_a_corpus_and_all_are_small() -> None:
    native = {f"c-{name}" for name in seeds.SEEDS}
    files = [*corpora.CORPORA.iterdir()]
    assert {file.stem for file in files} == {*TARGETS, *native}
    assert sum(file.stat().st_size for file in files) < 500_000


def test_the_shortest_that_fit_are_kept() -> None:
    inputs = [b"ccc", b"a", b"", b"bb", b"a", bytes(corpora.MOST_BYTES)]
    assert corpora.shortest(inputs, 9) == [b"a", b"bb", b"ccc"]
    assert corpora.shortest(inputs, 2) == [b"a", b"bb"]

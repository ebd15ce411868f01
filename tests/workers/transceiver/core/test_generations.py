"""Old and new credentials side by side, for as long as a restart takes."""

from __future__ import annotations

from workers.transceiver.core.generations import Generations
from workers.transceiver.core.interface import IceCredentials


def credentials(name: str) -> IceCredentials:
    return IceCredentials(name, f"password-of-{name}")


def begun() -> Generations:
    return Generations(credentials("a"), credentials("x"))


def test_a_restart_leaves_the_old_ones_good() -> None:
    generations = begun()
    assert generations.restart(credentials("b"), credentials("y")) is None
    assert generations.restarting
    assert generations.newest.ufrag == "b"
    for username, number in (("a:x", 0), ("b:y", 1)):
        named = generations.named(username)
        assert named is not None
        assert named.number == number
        assert generations.numbered(number) is named


def test_names_of_two_generations_do_not_mix() -> None:
    generations = begun()
    generations.restart(credentials("b"), credentials("y"))
    for username in ("a:y", "b:x", "x:a", "", None, 5):
        assert generations.named(username) is None


def test_once_settled_the_old_ones_are_dead() -> None:
    generations = begun()
    generations.restart(credentials("b"), credentials("y"))
    dead = generations.settle()
    assert dead is not None
    assert dead.ufrag == "a"
    assert generations.named("a:x") is None
    assert not generations.restarting
    assert generations.numbered(0) is generations.newest
    assert generations.settle() is None


def test_a_second_restart_takes_the_place_of_one_that_never_came_to_a_pair() -> None:
    generations = begun()
    generations.restart(credentials("b"), credentials("y"))
    replaced = generations.restart(credentials("c"), credentials("z"))
    assert replaced is not None
    assert replaced.ufrag == "b"
    assert generations.named("b:y") is None
    assert generations.named("a:x") is not None
    assert generations.newest.number == 2


def test_keys_and_usernames_are_those_of_both_descriptions() -> None:
    newest = begun().newest
    assert newest.username == "x:a"
    assert newest.local_key == b"password-of-a"
    assert newest.remote_key == b"password-of-x"

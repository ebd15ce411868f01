"""Labels, ways and sharers: by example, and against the law that all of it ends with its owner."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint, Transport
from workers.transceiver.core.interface import Path
from workers.transceiver.core.labels import MAX_LABELS, Bound, Labels, LinkLabel

RELAY = Endpoint("127.0.0.1", 1)
PATHS = [Path(Transport.UDP, Endpoint("10.0.0.1", n), Endpoint("10.0.0.2", 9)) for n in range(99)]
AT = [LinkLabel(RELAY, n) for n in range(99)]


def test_one_owner_on_one_path() -> None:
    labels: Labels[str] = Labels()
    assert labels.receiver(AT[1]) is None
    assert labels.way("a", PATHS[0]) is None
    labels.bind("a", PATHS[0], AT[1], proven=False)
    assert labels.receiver((Endpoint("127.0.0.1", 1), 1)) == Bound("a", PATHS[0])
    assert labels.way("a", PATHS[0]) == AT[1]
    assert labels.sharers(PATHS[0]) == ("a",)
    assert labels.of_client(PATHS[0].remote) == "a"
    assert labels.of_client(PATHS[1].remote) is None
    assert labels.remove("a") == (AT[1],)
    assert len(labels) == 0
    assert labels.sharers(PATHS[0]) == ()
    assert labels.remove("a") == ()


def test_the_newest_label_is_the_way_and_the_old_one_still_receives() -> None:
    labels: Labels[str] = Labels()
    labels.bind("a", PATHS[0], AT[1], proven=True)
    labels.bind("a", PATHS[0], AT[2], proven=True)
    assert labels.way("a", PATHS[0]) == AT[2]
    assert labels.receiver(AT[1]) == labels.receiver(AT[2]) == Bound("a", PATHS[0])
    assert labels.unbind(AT[1])
    assert labels.way("a", PATHS[0]) == AT[2]
    assert labels.remove("a") == (AT[2],)


def test_a_label_of_another_moves_by_proof_only() -> None:
    labels: Labels[str] = Labels()
    labels.bind("a", PATHS[0], AT[1], proven=False)
    labels.bind("b", PATHS[0], AT[1], proven=False)
    assert labels.receiver(AT[1]) == Bound("a", PATHS[0])
    assert labels.way("b", PATHS[0]) == AT[1], "it may answer"
    assert labels.sharers(PATHS[0]) == ("a", "b")
    labels.bind("b", PATHS[0], AT[1], proven=True)
    assert labels.receiver(AT[1]) == Bound("b", PATHS[0])
    assert labels.way("a", PATHS[0]) is None
    assert labels.sharers(PATHS[0]) == ("b",)
    assert labels.remove("a") == ()
    assert labels.receiver(AT[1]) == Bound("b", PATHS[0])


def test_unbinding() -> None:
    labels: Labels[str] = Labels()
    assert not labels.unbind(AT[1])
    labels.bind("a", PATHS[0], AT[1], proven=True)
    assert labels.unbind(AT[1])
    assert labels.way("a", PATHS[0]) is None
    assert labels.remove("a") == ()


def test_spoofed_paths_do_not_push_out_the_proven_one() -> None:
    labels: Labels[str] = Labels()
    labels.bind("a", PATHS[0], AT[0], proven=True)
    for n in range(1, 99):
        labels.bind("a", PATHS[n], AT[n], proven=False)
    assert labels.way("a", PATHS[0]) == AT[0]
    assert labels.receiver(AT[0]) == Bound("a", PATHS[0])
    assert len(labels) == MAX_LABELS
    assert labels.receiver(AT[98]) == Bound("a", PATHS[98])


def test_shared_ways_are_bounded_too() -> None:
    labels: Labels[str] = Labels()
    for n in range(99):
        labels.bind("a" if n < MAX_LABELS else "c", PATHS[n], AT[n], proven=True)
    for n in range(99):
        labels.bind("b", PATHS[n], AT[n], proven=False)
    assert sum(labels.way("b", path) is not None for path in PATHS) == MAX_LABELS


steps = st.lists(
    st.tuples(
        st.sampled_from(["bind", "prove", "unbind", "remove"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 3),
        st.integers(0, 3),
    )
)


@given(steps)
def test_everything_ends_with_its_owner(script: list[tuple[str, str, int, int]]) -> None:
    labels: Labels[str] = Labels()
    for step, owner, path, at in script:
        if step == "unbind":
            labels.unbind(AT[at])
        elif step == "remove":
            for label in labels.remove(owner):
                assert labels.receiver(label) is None
        else:
            labels.bind(owner, PATHS[path], AT[at], proven=step == "prove")
            assert labels.way(owner, PATHS[path]) == AT[at]
            bound = labels.receiver(AT[at])
            assert bound is not None
            if step == "prove":
                assert bound == Bound(owner, PATHS[path])
                assert labels.sharers(PATHS[path])[0] == owner
    for owner in ("a", "b", "c"):
        labels.remove(owner)
    assert len(labels) == 0
    assert not any(labels.sharers(path) for path in PATHS[:4])


def test_a_relay_that_is_gone_takes_its_labels_and_ways_with_it() -> None:
    labels: Labels[str] = Labels()
    labels.bind("a", PATHS[0], AT[0], proven=True)
    other = LinkLabel(Endpoint("127.0.0.1", 9), 1)
    labels.bind("a", PATHS[1], other, proven=True)
    labels.keep({other.relay})
    assert labels.of("a") == (other,)
    assert labels.way("a", PATHS[0]) is None
    assert labels.way("a", PATHS[1]) == other
    labels.keep(())
    assert len(labels) == 0

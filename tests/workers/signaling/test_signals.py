from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.messages.sessions import CloseReason
from workers.signaling.signals import (
    Closed,
    Follow,
    HangUp,
    Offer,
    Restart,
    Trickle,
    Unreadable,
    parse_signal,
    write_signal,
)


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ('{"type":"offer","sdp":"v=0","id":1}', Offer("v=0", 1)),
        ('{"type":"offer","sdp":"v","session":{"a":1}}', Offer("v", None, {"a": 1})),
        ('{"type":"trickle","fragment":"a","ice":"e","id":"x"}', Trickle("a", "e", "x")),
        ('{"type":"restart","fragment":"a","session":"rtc_1"}', Restart("a", None, "rtc_1")),
        ('{"type":"follow","session":"rtc_1","id":4}', Follow("rtc_1", 4)),
        ('{"type":"hangup"}', HangUp()),
    ],
)
def test_what_clients_say(text: str, signal: object) -> None:
    assert parse_signal(text) == signal


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ('{"type":"offer","sdp":"","id":1}', 1),
        ('{"type":"trickle","fragment":"a","id":"b"}', "b"),
        ('{"type":"hangup","id":-1}', None),
        ('{"type":"hangup","id":{}}', None),
        ('{"type":"hangup","id":"%s"}' % ("x" * 65), None),
        ('{"type":"connected","session":"x","id":3}', 3),
        ('{"id":4}', 4),
        ("[]", None),
        ("\ud800", None),
    ],
)
def test_what_they_do_not(text: str, id_: object) -> None:
    with pytest.raises(Unreadable) as unreadable:
        parse_signal(text)
    assert unreadable.value.id == id_
    assert unreadable.value.kind.status == 400


@given(
    st.text()
    | st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["offer", "trickle", "restart", "hangup"]) | st.text(),
            "id": st.text() | st.integers() | st.none(),
            "sdp": st.text() | st.integers(),
            "fragment": st.text(),
            "ice": st.text(),
            "session": st.text() | st.dictionaries(st.text(), st.text(), max_size=2),
        },
    ).map(json.dumps)
)
def test_any_text_is_a_signal_or_unreadable(text: str) -> None:
    try:
        assert parse_signal(text) is not None
    except Unreadable as unreadable:
        assert len(unreadable.detail) < 500 + len(text)


def test_what_we_say() -> None:
    said = Closed("rtc_1", CloseReason.IDLE)
    assert json.loads(write_signal(said)) == {
        "type": "closed",
        "session": "rtc_1",
        "reason": "idle",
    }

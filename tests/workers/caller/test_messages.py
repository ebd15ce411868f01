"""Messages of one channel: when they are due, and which of those that arrive are ours."""

from __future__ import annotations

import math

import pytest

from workers.caller.messages import LABEL, PERIOD, Messages
from workers.transceiver.core.sctp.interface import MessageReceived, SendMessage


def opened() -> Messages:
    messages = Messages(7)
    assert messages.request().label == LABEL
    assert messages.next(5.0) is None
    assert messages.due == math.inf
    messages.opened(6, 10.0)
    assert messages.open
    assert messages.due == 10.0
    return messages


def sent(messages: Messages, now: float) -> SendMessage:
    message = messages.next(now)
    assert message is not None
    assert message.channel == 6
    return message


def test_they_leave_one_after_the_other_and_come_back() -> None:
    messages = opened()
    first = sent(messages, 10.0)
    assert messages.next(10.0 + PERIOD / 2) is None
    second = sent(messages, 10.0 + PERIOD)
    assert first.payload != second.payload
    messages.came(MessageReceived(6, first.payload, False), 10.5)
    assert (messages.echoes.received, messages.echoes.outstanding) == (1, 1)
    assert messages.echoes.round_trips.percentile(50) == pytest.approx(0.5, rel=0.02)


def test_a_late_tick_sends_one_and_not_all_that_were_due() -> None:
    messages = opened()
    sent(messages, 10.0)
    sent(messages, 20.0)
    assert messages.next(20.0 + PERIOD / 2) is None


@pytest.mark.parametrize("payload", [b"", b"abc", bytes(36), bytes(4) + b"x" * 32])
def test_strange_messages_are_counted_and_not_ours(payload: bytes) -> None:
    messages = opened()
    sent(messages, 10.0)
    messages.came(MessageReceived(6, payload, False), 10.1)
    assert (messages.echoes.received, messages.echoes.foreign) == (0, 1)


def test_a_message_of_another_call_is_not_ours() -> None:
    theirs, ours = opened(), Messages(8)
    ours.opened(6, 10.0)
    sent(ours, 10.0)
    ours.came(MessageReceived(6, sent(theirs, 10.0).payload, False), 10.1)
    assert ours.echoes.astray == {"foreign": 1}


def test_a_message_twice_or_on_another_channel_counts_once() -> None:
    messages = opened()
    payload = sent(messages, 10.0).payload
    for channel in (5, 6, 6):
        messages.came(MessageReceived(channel, payload, False), 10.1)
    assert messages.echoes.foreign == 1
    assert (messages.echoes.received, messages.echoes.duplicates) == (1, 1)

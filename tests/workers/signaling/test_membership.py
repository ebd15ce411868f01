"""Keys of routes become keys between hosts."""

from __future__ import annotations

from hashlib import sha256
from hmac import digest

import pytest
import zmq
import zmq.utils.z85

from workers.signaling.membership import Membership

OLD, NEW = bytes(range(16)), bytes(16)


def test_hosts_that_share_a_key_know_each_other() -> None:
    one, other = Membership({"a": OLD}, "a"), Membership({"b": OLD}, "b")
    assert one.own == other.own
    assert one.own.public in other.members().values()
    curve = one.curve(other.own.public)
    assert curve is not None
    assert (curve.own, curve.server) == (one.own, other.own.public)


def test_others_do_not() -> None:
    one, other = Membership({"a": OLD}, "a"), Membership({"a": NEW}, "a")
    assert one.own.public not in other.members().values()
    assert one.curve(other.own.public) is None
    assert one.curve("") is None


def test_while_a_key_is_replaced_old_and_new_hosts_know_each_other() -> None:
    before, between = Membership({"a": OLD}, "a"), Membership({"a": OLD, "b": NEW}, "a")
    after = Membership({"a": OLD, "b": NEW}, "b")
    for one, other in ((before, between), (between, after), (after, between)):
        assert one.curve(other.own.public)
        assert one.own.public in other.members().values()


def test_the_key_is_what_the_wire_format_says() -> None:
    secret = digest(OLD, b"tandem calls between hosts 1", sha256)
    own = Membership({"a": OLD}, "a").own
    assert own.secret.encode() == zmq.utils.z85.encode(secret)
    assert own.public.encode() == zmq.curve_public(own.secret.encode())
    assert own.secret not in repr(own)


def test_there_must_be_a_key_to_be_known_by() -> None:
    with pytest.raises(KeyError):
        Membership({"a": OLD}, "b")

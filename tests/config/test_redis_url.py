from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.redis_url import RedisKind, RedisPlace, parse_redis_url


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://10.0.0.9", RedisPlace(RedisKind.SINGLE, (("10.0.0.9", 6379),))),
        ("redis://h:7/3", RedisPlace(RedisKind.SINGLE, (("h", 7),), database=3)),
        ("redis://[fd00::1]:7", RedisPlace(RedisKind.SINGLE, (("fd00::1", 7),))),
        ("redis://[::1]", RedisPlace(RedisKind.SINGLE, (("::1", 6379),))),
        ("rediss://me@h/", RedisPlace(RedisKind.SINGLE, (("h", 6379),), tls=True, user="me")),
        (
            "redis+sentinel://a,b:5,[::1]/main/2",
            RedisPlace(
                RedisKind.SENTINEL,
                (("a", 26379), ("b", 5), ("::1", 26379)),
                service="main",
                database=2,
            ),
        ),
        (
            "rediss+cluster://u@a:1,b:2",
            RedisPlace(RedisKind.CLUSTER, (("a", 1), ("b", 2)), tls=True, user="u"),
        ),
    ],
)
def test_what_a_url_says(url: str, place: RedisPlace) -> None:
    assert parse_redis_url(url) == place


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://user:secret@h", "redis.password_file"),
        ("redis://:secret@h", "redis.password_file"),
        ("http://h", "is not redis://"),
        ("redis://", "is not redis://"),
        ("redis://a,b", "several hosts"),
        ("redis+sentinel://a,b", "name the service"),
        ("redis+cluster://a/1", "more behind the hosts"),
        ("redis://h/x", "number of a database"),
        ("redis://h/1/2", "more behind the hosts"),
        ("redis://h:0", "port 0"),
        ("redis://h:65536", "port 65536"),
    ],
)
def test_what_is_no_place(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_redis_url(url)


@given(st.text(max_size=60) | st.text(alphabet="redis+clustn:/@,[]0123456789a.", max_size=60))
def test_nothing_but_value_errors(text: str) -> None:
    for url in (text, "redis://" + text):
        with contextlib.suppress(ValueError):
            parse_redis_url(url)

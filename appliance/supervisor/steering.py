"""Which relay worker gets a datagram: the kernel's hash, or a small program in front of the group.

The sockets of one public address form a group (SO_REUSEPORT), worker n has the n-th. By default the
kernel hashes addresses and ports, which moves no flow as long as the group stays the same, and it does:
the supervisor keeps the sockets. Two other ways are classic BPF programs:

* **cpu**: the worker that is pinned to the CPU that took the interrupt. With a network card that spreads
  flows over CPUs (RSS) a datagram then never changes CPU.
* **table**: a hash of the client's address and port picks one of 256 buckets, and a table says whose it
  is. When the number of workers changes, `share_out` moves only the buckets it must.

Before workers can be removed, their sockets must get nothing more, and the kernel's hash knows no such
thing: until they are closed, a table is in front of a hashed group, too.

A worker that gets a sibling's flow takes it over (docs/wire.md, section 2), so a wrong turn costs one
introduction and no audio.
"""

from __future__ import annotations

import ctypes
import errno
import secrets
import socket
import struct
from collections.abc import Sequence
from typing import Final, assert_never

from config.model import Steering as Way

BUCKETS: Final = 256
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_SO_DETACH_REUSEPORT_BPF: Final = 68
_MAX_JUMP: Final = 255

# linux/filter.h: opcodes are a class with a size and a mode, or an operation and its operand
_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD = 0x30, 0x28, 0x20
_MULTIPLY, _MODULO, _AND, _SHIFT_RIGHT, _XOR_INDEX, _XOR = 0x24, 0x94, 0x54, 0x74, 0xAC, 0xA4
_JUMP, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST = 0x05, 0x15, 0x35
_RETURN, _RETURN_ACCUMULATOR = 0x06, 0x16
_TO_INDEX = 0x07
_NETWORK_HEADER: Final = 0xFFF00000
_CPU: Final = 0xFFFFF000 + 36
_IPV4_SOURCE, _IPV4_PORT, _IPV6_SOURCE, _IPV6_PORT = 12, 20, 8, 40

Program = list[bytes]
"""Instructions of a classic BPF program."""


def _op(code: int, value: int = 0, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def by_cpu(cpus: Sequence[int], workers: int) -> Program:
    """`cpus[n]` is that of worker n; whatever comes by another is spread by its number."""
    program = [_op(_LOAD_WORD, _CPU)]
    for worker, cpu in enumerate(cpus[:workers]):
        program += [_op(_JUMP_IF_EQUAL, cpu, 0, 1), _op(_RETURN, worker)]
    return [*program, _op(_MODULO, workers), _op(_RETURN_ACCUMULATOR)]


def by_table(owners: Sequence[int], seed: int) -> Program:
    """`owners[bucket]` is a worker. `seed`, a secret u32, keeps clients from choosing their bucket."""
    if len(owners) != BUCKETS:
        raise ValueError(f"a steering table has {BUCKETS} buckets")
    return [*_hash(seed), _op(_AND, BUCKETS - 1), *_look_up(owners, 0, BUCKETS)]


def _hash(seed: int) -> Program:
    """Leave 32 bits in the accumulator, mixed from the client's address and port.

    Of an IPv6 address two words: the low one of the network's part and that of the interface's. An
    IPv4 header with options, which nobody sends to us, has another port; it is the same for all of a flow.
    """

    def mixed(program: Program, *loads: tuple[int, int]) -> Program:
        for size, offset in loads:
            program += [_op(_TO_INDEX), _op(size, _NETWORK_HEADER + offset), _op(_XOR_INDEX)]
            program += [_op(_XOR, seed), _op(_MULTIPLY, 0x9E3779B1), _op(_TO_INDEX)]
            program += [_op(_SHIFT_RIGHT, 15), _op(_XOR_INDEX)]
        return program

    zero = _op(_AND, 0)
    ipv4 = mixed([zero], (_LOAD_WORD, _IPV4_SOURCE), (_LOAD_HALF, _IPV4_PORT))
    ipv6 = mixed(
        [zero],
        (_LOAD_WORD, _IPV6_SOURCE + 4),
        (_LOAD_WORD, _IPV6_SOURCE + 12),
        (_LOAD_HALF, _IPV6_PORT),
    )
    finish = [_op(_MULTIPLY, 0x85EBCA6B), _op(_TO_INDEX), _op(_SHIFT_RIGHT, 16), _op(_XOR_INDEX)]
    return [
        _op(_LOAD_BYTE, _NETWORK_HEADER),
        _op(_SHIFT_RIGHT, 4),
        _op(_JUMP_IF_EQUAL, 6, 0, len(ipv6) + 1),
        *ipv6,
        _op(_JUMP, len(ipv4)),
        *ipv4,
        *finish,
    ]


def _look_up(owners: Sequence[int], low: int, high: int) -> Program:
    """Return owners[accumulator], by halves."""
    if len(set(owners[low:high])) == 1:
        return [_op(_RETURN, owners[low])]
    middle = (low + high) // 2
    left, right = _look_up(owners, low, middle), _look_up(owners, middle, high)
    if len(left) <= _MAX_JUMP:
        return [_op(_JUMP_IF_AT_LEAST, middle, len(left), 0), *left, *right]
    far = [_op(_JUMP_IF_AT_LEAST, middle, 0, 1), _op(_JUMP, len(left))]
    return [*far, *left, *right]


def share_out(workers: int, owners: Sequence[int] = ()) -> tuple[int, ...]:
    """Buckets for so many workers, evenly, moving as few as possible of those that `owners` has.

    The buckets of workers that are no more move, and from the others what is over their share.
    """
    kept: list[list[int]] = [[] for _ in range(workers)]
    for bucket, owner in enumerate(owners):
        if owner < workers:
            kept[owner].append(bucket)
    # One bucket more for those that have the most, where it does not come out even.
    shares = [BUCKETS // workers] * workers
    for worker in sorted(range(workers), key=lambda w: -len(kept[w]))[: BUCKETS % workers]:
        shares[worker] += 1
    table: list[int | None] = [None] * BUCKETS
    for worker, buckets in enumerate(kept):
        for bucket in buckets[: shares[worker]]:
            table[bucket] = worker
            shares[worker] -= 1
    short = [worker for worker in range(workers) if shares[worker]]
    turn = 0
    for bucket, owner_now in enumerate(table):
        if owner_now is None:
            turn %= len(short)
            worker = short[turn]
            table[bucket] = worker
            shares[worker] -= 1
            if shares[worker]:
                turn += 1
            else:
                short.pop(turn)
    return tuple(owner for owner in table if owner is not None)


class Steering:
    """What is in front of an appliance's groups, through all changes of the number of workers."""

    def __init__(self, way: Way, cpus: Sequence[int]) -> None:
        """Worker n is pinned to `cpus[n]`."""
        self._way = way
        self._cpus = cpus
        self._seed = secrets.randbits(32)
        self._owners: tuple[int, ...] = ()
        self._workers = 0

    def steer(self, group: Sequence[socket.socket], workers: int) -> None:
        """Let the first `workers` of a group get all that comes. Raises OSError.

        If they are all of it, the kernel's own hash may do; before some of it can be closed, it may not.
        """
        match self._way:
            case Way.HASH if workers == len(group):
                detach(group)
            case Way.CPU:
                _attach_to_many(group, by_cpu(self._cpus, workers))
            case Way.HASH | Way.TABLE:
                _attach_to_many(group, by_table(self._share_out(workers), self._seed))
            case _:
                assert_never(self._way)

    def _share_out(self, workers: int) -> tuple[int, ...]:
        if workers != self._workers:
            # At the start as if workers had come one by one: then it is near that of any other number.
            first = 1 if not self._owners else workers
            for number in range(first, workers + 1):
                self._owners = share_out(number, self._owners)
            self._workers = workers
        return self._owners


def _attach_to_many(group: Sequence[socket.socket], program: Program) -> None:
    """A socket that never shared its address is no group to the kernel, and needs no program."""
    if len(group) > 1:
        attach(group, program)


def detach(group: Sequence[socket.socket]) -> None:
    """Leave the group to the kernel's own hash. Raises OSError."""
    try:
        group[0].setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):  # there is none, or no group
            raise


def attach(group: Sequence[socket.socket], program: Program) -> None:
    """Put the program in front of the group, in place of another one. Raises OSError.

    The kernel numbers the sockets in the order in which they were bound; a number that it does not have
    falls back to its own hash.
    """
    code = ctypes.create_string_buffer(b"".join(program))
    argument = struct.pack("@HP", len(program), ctypes.addressof(code))
    group[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, argument)

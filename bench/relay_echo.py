"""A transceiver that only echoes: it assures every flow and sends each link datagram back as it came.

`python -m bench.relay_echo FD CPU`: FD is its bound link socket.
"""

from __future__ import annotations

import os
import socket
import sys

from workers.wire.link import FLAG_ASSURED, RecordType, encode_record, parse_intro, parse_records


def main() -> None:
    """Echo until killed."""
    fd, cpu = int(sys.argv[1]), int(sys.argv[2])
    os.sched_setaffinity(0, {cpu})
    link = socket.socket(fileno=fd)
    link.setblocking(True)
    buffer = bytearray(65536)
    view = memoryview(buffer)
    while True:
        length, relay = link.recvfrom_into(buffer)
        if buffer[0] == RecordType.DATA:
            link.sendto(view[:length], relay)
            continue
        for record in parse_records(view[:length]):
            if record.type is RecordType.INTRO:
                _, check = parse_intro(record.payload)
                # A success response to the check, without the attributes that nobody here reads.
                answer = b"\x01\x01\x00\x00" + bytes(check[4:20])
                link.sendto(
                    encode_record(RecordType.DATA, FLAG_ASSURED, record.label, answer), relay
                )


if __name__ == "__main__":
    main()

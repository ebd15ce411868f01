"""`python -m workers.transceiver`, started by the supervisor."""

from __future__ import annotations

from config.ids import Role
from workers.process import main
from workers.transceiver.shell import serve

if __name__ == "__main__":
    main(Role.TRANSCEIVER, serve)

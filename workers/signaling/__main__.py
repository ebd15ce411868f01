"""`python -m workers.signaling`, started by the supervisor."""

from __future__ import annotations

from config.ids import Role
from workers.process import main
from workers.signaling.shell import serve

if __name__ == "__main__":
    main(Role.SIGNALING, serve)

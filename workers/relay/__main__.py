"""`python -m workers.relay`: a relay worker, started by the supervisor."""

from config.ids import Role
from workers.process import main
from workers.relay.shell import serve

if __name__ == "__main__":
    main(Role.RELAY, serve)

"""All workers that there are, and the configuration that their next processes get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.supervisor.core.spec import WorkerSpec
from appliance.supervisor.core.worker import Worker
from config.change import changes, rolled
from config.ids import Role, WorkerName
from config.model import Config


class Fleet:
    """The workers by name, in the order in which they are started."""

    def __init__(self, config: Config, specs: Sequence[WorkerSpec]) -> None:
        self.config = config
        own = tuple(spec.index for spec in specs if spec.role is Role.REALTIME)
        self._workers = {spec.name: Worker(spec, config, own) for spec in specs}

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def get(self, name: WorkerName) -> Worker | None:
        """The worker of that name."""
        return self._workers.get(name)

    def of(self, role: Role) -> list[Worker]:
        """Those of one role."""
        return [worker for worker in self if worker.spec.role is role]

    def staying(self, role: Role) -> list[Worker]:
        """Those of one role that are not on their way out."""
        return [worker for worker in self.of(role) if worker.stays]

    def leaving(self, role: Role) -> list[Worker]:
        """Those of one role that are."""
        return [worker for worker in self.of(role) if not worker.stays]

    def seat(self, role: Role, specs: Sequence[WorkerSpec]) -> None:
        """The workers of a role, none of which has run yet, are to be these."""
        others = [worker for worker in self if worker.spec.role is not role]
        first = next((n for n, worker in enumerate(self) if worker.spec.role is role), len(others))
        seats = [Worker(spec, self.config) for spec in specs]
        workers = [*others[:first], *seats, *others[first:]]
        self._workers = {worker.name: worker for worker in workers}

    def add(self, spec: WorkerSpec, config: Config, realtime: tuple[int, ...] = ()) -> Worker:
        """One more, to which nothing new comes before it is let join."""
        worker = self._workers[spec.name] = Worker(spec, config, realtime)
        worker.joining = True
        return worker

    def remove(self, worker: Worker) -> None:
        """One that has no process and is not wanted any more."""
        del self._workers[worker.name]

    @property
    def outdated(self) -> frozenset[Role]:
        """Roles of which a worker has another configuration than the next ones get."""
        return frozenset(
            worker.spec.role
            for worker in self
            if worker.stays and worker.spec.role in rolled(changes(worker.config, self.config))
        )

    def adopt(self, config: Config) -> None:
        """Everybody's next process gets this."""
        self.config = config
        for worker in self:
            worker.config = config

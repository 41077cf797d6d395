"""Workers as tasks of a Ray cluster; run folder and storage must be within reach of all its machines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from abcost.errors import SearchError
from abcost.extras import require
from abcost.searching.executors.executor import EXECUTORS, WorkerSpec


class RayTasks:
    """See `Executor`. A task whose process or machine dies is started again by Ray; its trial by heartbeat."""

    def __init__(self, crew: WorkerSpec) -> None:
        require("ray", "ray", "--executor ray")
        import ray  # noqa: PLC0415 - takes seconds

        self._ray = ray
        try:
            ray.init(address="auto", logging_level="ERROR", log_to_driver=False, ignore_reinit_error=True)
        except ConnectionError as error:
            raise SearchError(
                "--executor ray found no Ray cluster: start one with `ray start --head`, or name it in RAY_ADDRESS"
            ) from error
        task = ray.remote(num_cpus=crew.cpus, num_gpus=crew.gpus, max_retries=-1)(_work)
        salt = int(time.time())
        self._tasks: list[Any] = [task.remote(crew, salt + i) for i in range(crew.workers)]

    def check(self) -> None:
        """Raises SearchError with what a worker that gave up says."""
        done, self._tasks = self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0)
        try:
            self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:
            raise SearchError(f"a worker gave up: {' '.join(str(error.cause).split())}") from error

    def stop(self) -> None:
        """Ask all to save and stop."""
        for task in self._tasks:
            self._ray.cancel(task)
        self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=30) if self._tasks else None
        self._ray.shutdown()


def _work(crew: WorkerSpec, salt: int) -> None:
    """Runs in the cluster."""
    from abcost.searching.studies import join  # noqa: PLC0415
    from abcost.searching.worker import work  # noqa: PLC0415

    work(join(crew.url, crew.study), Path(crew.folder), salt, lambda: False)


EXECUTORS.add("ray")(RayTasks)

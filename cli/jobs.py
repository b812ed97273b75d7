"""What the jobs of a multirun return, in whatever process their launcher runs them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus


@contextlib.contextmanager
def launched_jobs() -> Iterator[list[Any]]:
    """Give a list that fills with the return value of every job that ended.

    Hydra hands these to the sweeper alone, and a job in a process of its own shares no list with this one.
    """
    values: list[Any] = []
    plugins = Plugins.instance()
    instantiate = plugins.instantiate_launcher

    def instantiate_launcher(*arguments: Any, **options: Any) -> Any:
        launcher = instantiate(*arguments, **options)
        launch = launcher.launch

        def launch_and_keep(*arguments: Any, **options: Any) -> Any:
            jobs = launch(*arguments, **options)
            values.extend(job.return_value for job in jobs if job.status == JobStatus.COMPLETED)
            return jobs

        vars(launcher)["launch"] = launch_and_keep
        return launcher

    vars(plugins)["instantiate_launcher"] = instantiate_launcher
    try:
        yield values
    finally:
        del vars(plugins)["instantiate_launcher"]

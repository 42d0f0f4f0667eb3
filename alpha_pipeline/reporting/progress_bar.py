"""Progress bars with remaining time for the terminal (rich): one for the steps of a run, one for what the current step does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from alpha_pipeline import progress


class ProgressBars:
    """A :class:`alpha_pipeline.progress.Listener` that draws; ``stage`` starts a new step of the run.

    Where the output is no terminal, each step is one line when it starts.
    """

    def __init__(self, console: Console, bars: Progress, n_stages: int) -> None:
        self._console, self._bars, self._n_stages = console, bars, n_stages
        self._overall = bars.add_task("", total=n_stages)
        self._tasks: dict[str, TaskID] = {}

    def stage(self, number: int, title: str) -> None:
        """Step ``number`` (from 0) begins."""
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks = {}
        self._bars.update(self._overall, completed=number, description=f"[bold]{title}")
        if not self._console.is_terminal:
            self._console.print(f"[{number + 1}/{self._n_stages}] {title}", highlight=False)

    def update(self, label: str, done: int, total: int | None, note: str) -> None:
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(f"  {label}", total=total)
        self._bars.update(self._tasks[label], completed=done, total=total, description=f"  {label} {note}".rstrip())


@contextmanager
def progress_bars(console: Console, n_stages: int) -> Iterator[ProgressBars]:
    """Bars for a run of ``n_stages`` steps; progress of everything inside is drawn."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        listener = ProgressBars(console, bars, n_stages)
        with progress.listening(listener):
            yield listener

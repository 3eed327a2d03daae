"""The files that a run's figures are written to; where that fails, the run stops with a line.

Lightning's loggers and tensorboardX take it that a file can be written. The second writes in a
thread, which ends on a full disk and leaves the run waiting for it for good.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from effcc.train.guard import Unwritable


class CSV(CSVLogger):
    """Lightning's, whose failures have a line that says what to do."""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's."""
        with _told(self):
            super().log_hyperparams(*args, **kwargs)

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's."""
        with _told(self):
            super().log_metrics(*args, **kwargs)

    def save(self) -> None:
        """As Lightning's."""
        with _told(self):
            super().save()

    def finalize(self, status: str) -> None:
        """As Lightning's; after a failure, which has the word, another one is not told."""
        with _told(self) if status == "success" else suppress(Exception):
            super().finalize(status)


class TensorBoard(TensorBoardLogger):
    """Lightning's, whose failures have a line that says what to do, also those of its thread.

    Lightning takes any error of writing a number for a number that cannot be written, so a failure
    is asked for before and afterwards.
    """

    @property
    def experiment(self) -> Any:
        """As Lightning's."""
        with _told(self):
            writer: Any = super().experiment
        events: Any = getattr(getattr(writer, "file_writer", None), "event_writer", None)
        if hasattr(events, "_ev_writer") and not isinstance(events._ev_writer, _Events):
            self._events = _Events(events._ev_writer)
            events._ev_writer = events._worker._record_writer = self._events
        return writer

    _events: _Events | None = None

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's."""
        with self._asked():
            super().log_hyperparams(*args, **kwargs)

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's."""
        with self._asked():
            super().log_metrics(*args, **kwargs)

    def save(self) -> None:
        """As Lightning's."""
        with self._asked():
            super().save()

    def finalize(self, status: str) -> None:
        """As Lightning's; after a failure, which has the word, another one is not told."""
        with self._asked() if status == "success" else suppress(Exception):
            super().finalize(status)

    @contextmanager
    def _asked(self) -> Generator[None]:
        with _told(self):
            self._ask()
            yield
            self._ask()

    def _ask(self) -> None:
        if self._events and self._events.failure:
            raise self._events.failure


class _Events:
    """Stands before tensorboardX's writer: after a failure it takes everything and writes nothing.

    So the thread that calls it lives, and its queue never fills.
    """

    def __init__(self, writer: Any) -> None:
        self.writer = writer
        self.failure: OSError | None = None

    def write_event(self, event: Any) -> None:
        self._unless_failed(self.writer.write_event, event)

    def flush(self) -> None:
        self._unless_failed(self.writer.flush)

    def close(self) -> None:
        self._unless_failed(self.writer.close)
        if self.failure:
            with suppress(OSError):
                self.writer._py_recordio_writer.close()

    def _unless_failed(self, do: Callable[..., Any], *args: Any) -> None:
        if self.failure is None:
            try:
                do(*args)
            except OSError as error:
                self.failure = error


@contextmanager
def _told(logger: CSVLogger | TensorBoardLogger) -> Generator[None]:
    try:
        yield
    except OSError as error:
        path = error.filename or Path(logger.log_dir)
        raise Unwritable(f"{path}: the log cannot be written: {error.strerror}") from None

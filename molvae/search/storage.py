"""Where a study is kept: a database by its address, or an append-only file that processes may be killed over."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from molvae.errors import MissingExtra, UsageError

PATIENCE = 60  # seconds that an SQLite file may be locked by others
TRIES = 3
FORMS = "sqlite:///FILE, postgresql+psycopg://USER@HOST/DATABASE, journal:FILE"


def open_storage(place: str) -> BaseStorage:
    """The storage that a text names: an SQLAlchemy address, or ``journal:FILE``.

    Raises UsageError for a place that cannot be opened, MissingExtra where PostgreSQL's driver is not installed.
    """
    if place.startswith("journal:"):
        return _file(Path(place.removeprefix("journal:")))
    if "://" not in place:
        raise UsageError(f"storage {place!r}; wanted one of {FORMS}")
    if place.startswith("postgresql+psycopg:") and importlib.util.find_spec("psycopg") is None:
        raise MissingExtra("psycopg", "postgresql")
    return get_storage(_database(place))


def sync(storage: BaseStorage) -> None:
    """See a study in a file onto the disk; databases do that themselves."""
    if isinstance(storage, FileStorage):
        storage.log.sync()


class FileStorage(JournalStorage):
    """Optuna's journal storage over a file of ours."""

    def __init__(self, log: LogFile) -> None:
        self.log = log
        self._presence: IO[bytes] | None = None
        super().__init__(log)

    @contextmanager
    def joining(self) -> Iterator[bool]:
        """Whether nobody else has joined; for the time of the context nobody can. The joining lasts until this object or its process ends."""
        import fcntl

        # Of a file beside the log, whose own lock comes and goes with every line. The system lets go of it where a process is killed.
        self._presence = self.log.path.with_name(f"{self.log.path.name}.workers").open("ab")
        try:
            fcntl.flock(self._presence, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        yield alone
        fcntl.flock(self._presence, fcntl.LOCK_SH)


def _database(place: str, tries: int = TRIES) -> RDBStorage:
    options = {"connect_args": {"timeout": PATIENCE}} if place.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        return RDBStorage(place, engine_kwargs=options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise UsageError(f"storage {place!r}: {error}; wanted one of {FORMS}, and the driver it names installed") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        # Several workers that meet an empty database make its tables at the same time, and all but one of them fail once.
        if tries == 1:
            first = str(error.__cause__ or error).strip().splitlines()[0]
            raise UsageError(f"storage {place!r} cannot be opened: {first}") from error
    time.sleep(0.5)
    return _database(place, tries - 1)


def _file(path: Path) -> JournalStorage:
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"storage journal:{path}: wanted a file in a folder that exists")
    if importlib.util.find_spec("fcntl") is None:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    return FileStorage(LogFile(path))


class LogFile(BaseJournalBackend):
    """A file of operations, one JSON line each, that Optuna's own backend reads as well.

    Optuna's lock files outlive a process killed while it held one, and stop everybody for half a minute; this lock is the system's, which
    ends with its process. A line that a kill cut short is dropped before the next is written. Written lines survive the process at once,
    and the machine from ``sync`` on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._reader = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))  # the lock is for writing alone

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The operations from this number on."""
        return self._reader.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add operations."""
        with self._locked() as file:
            _drop_torn(file)
            file.write("".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode())

    def sync(self) -> None:
        """See everything onto the disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        import fcntl

        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0, os.SEEK_END)
            yield file
            file.flush()  # before closing, which lets go of the lock


def _drop_torn(file: IO[bytes]) -> None:
    """Cut what follows the last line's end."""
    end = file.tell()
    back = 0
    while end and back < end:
        back = min(end, back + 65536)
        file.seek(end - back)
        tail = file.read(back)
        if tail.endswith(b"\n"):
            break
        found = tail.rfind(b"\n")
        if found >= 0 or back == end:
            file.seek(end - back + found + 1)
            file.truncate()
            return
    file.seek(end)

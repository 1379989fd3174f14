"""The studies of sweeps in PostgreSQL, and locks there that end with the connection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.errors import SweepError, UsageError

# What else a database may do while a driver waits for its turn.
TURN_TIMEOUT_S = 60


class Database:
    """A PostgreSQL database, with one connection for locks.

    The server gives up the locks of a connection when that ends, so also when its process is
    killed. libpq finds the password, in ``PGPASSWORD`` or ``~/.pgpass``.

    Args:
        scope: names the locks apart from those of other sweeps.

    Raises:
        UsageError: the URL is not of PostgreSQL, contains a password, or cannot be used.
    """

    def __init__(self, url: str, scope: str) -> None:
        self._url, self._scope = _checked(url), scope
        try:
            self._engine = sqlalchemy.create_engine(
                self._url,
                isolation_level="AUTOCOMMIT",
                poolclass=sqlalchemy.NullPool,
                connect_args={
                    "options": f"-c lock_timeout={TURN_TIMEOUT_S}s",
                    "connect_timeout": 10,
                },
            )
            self._connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise UsageError(
                f"--join {self._url}: cannot be used ({_cause(error)}). Check host, user and "
                "database; the password belongs in ~/.pgpass or PGPASSWORD."
            ) from None

    def storage(self) -> RDBStorage:
        """Return what Optuna stores studies in; its tables are made if they are missing."""
        self._call("pg_advisory_lock", "tables")  # which two processes must not make at once
        try:
            return RDBStorage(self._url.render_as_string(), engine_kwargs={"pool_pre_ping": True})
        finally:
            self._call("pg_advisory_unlock", "tables")

    def take(self, name: str) -> None:
        """Wait for a lock and take it."""
        self._call("pg_advisory_lock", self._scope, name)

    def release(self, name: str) -> None:
        """Release a lock."""
        self._call("pg_advisory_unlock", self._scope, name)

    def is_held(self, name: str) -> bool:
        """Return whether another connection holds a lock."""
        free = self._call("pg_try_advisory_lock_shared", self._scope, name)
        if free:
            self._call("pg_advisory_unlock_shared", self._scope, name)
        return not free

    def close(self) -> None:
        """Give up all locks."""
        self._connection.close()

    def _call(self, function: str, *names: str) -> Any:
        key = int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8], signed=True)
        try:
            return self._connection.scalar(
                sqlalchemy.text(f"SELECT {function}(:key)"), {"key": key}
            )
        except SQLAlchemyError as error:
            raise self._lost(error) from None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise a `SweepError` if Optuna cannot use the database in the block."""
        try:
            yield
        except StorageInternalError as error:
            cause = error.__cause__
            raise self._lost(cause if isinstance(cause, SQLAlchemyError) else error) from None
        except SQLAlchemyError as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> SweepError:
        return SweepError(
            f"{self._url}: the connection is lost ({_cause(error)}), so other drivers may take "
            "over the trials of this one. To join again, give the same command."
        )


def _checked(url: str) -> sqlalchemy.URL:
    form = "expected postgresql://USER@HOST/DATABASE"
    try:
        found = sqlalchemy.make_url(url)
    except SQLAlchemyError:
        raise UsageError(f"--join: {form}.") from None
    if found.password is not None or "password" in found.query:
        raise UsageError(
            "--join: a password in the URL is visible to everyone on this machine. Put it into "
            "~/.pgpass or PGPASSWORD, and leave it out of the URL."
        )
    if found.get_backend_name() != "postgresql":
        raise UsageError(f"--join: {form} (found {url}).")
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UsageError(
            "--join with a database needs the package psycopg, which is not installed. "
            "Next step: pip install 'psycopg[binary]'"
        ) from None
    return found.set(drivername="postgresql+psycopg")


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]

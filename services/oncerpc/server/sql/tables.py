"""The tables of the promise in the user's database, made when missing, by however many processes at once.

    once_meta      one row: which schema this is, the lease clock as last saved, how often a process has started
    once_session   who may call, and up to which seq the client holds the replies (`acked`)
    once_record    a session's dedup records: (session, seq) to fingerprint and reply
    once_key       the records of Idempotency-Keys: (scope, key) to fingerprint and reply, until `expires_ms`

A record's `reply` is NULL only inside the transaction that runs its call: the row is there first, so that a duplicate
has something to wait for.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    inspect,
    select,
    update,
)

__all__ = ["SCHEMA", "SchemaUnknown", "Tables"]

SCHEMA = 1


class SchemaUnknown(Exception):
    """The tables are of another release; the message says of which."""


class Tables:
    """The tables under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.metadata = metadata = MetaData()
        number = BigInteger().with_variant(Integer, "sqlite")
        self.meta = Table(
            f"{prefix}meta",
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=False),
            Column("schema_version", Integer, nullable=False),
            Column("clock_ms", BigInteger, nullable=False),
            Column("saved_ms", BigInteger, nullable=False),
            Column("boot", BigInteger, nullable=False),
        )
        self.session = Table(
            f"{prefix}session",
            metadata,
            Column("number", number, Identity(), primary_key=True),  # needs no right to a sequence
            Column("name", String(64), nullable=False, unique=True),
            Column("lease_ms", BigInteger, nullable=False),
            Column("expires_ms", BigInteger, nullable=False),
            Column("acked", BigInteger, nullable=False),
            Index(f"{prefix}session_expires", "expires_ms"),
            sqlite_autoincrement=True,  # a number is never given out twice
        )
        self.record = Table(
            f"{prefix}record",
            metadata,
            Column("session", number, ForeignKey(f"{prefix}session.number", ondelete="CASCADE"), autoincrement=False),
            Column("seq", BigInteger, autoincrement=False),
            Column("fingerprint", LargeBinary, nullable=False),
            Column("attempt", LargeBinary, nullable=False),
            Column("failed", Boolean, nullable=False),
            Column("reply", LargeBinary),
            PrimaryKeyConstraint("session", "seq"),
        )
        self.key = Table(
            f"{prefix}key",
            metadata,
            Column("scope", Text),
            Column("key", String(255)),
            Column("fingerprint", LargeBinary, nullable=False),
            Column("attempt", LargeBinary, nullable=False),
            Column("failed", Boolean, nullable=False),
            Column("reply", LargeBinary),
            Column("created_ms", BigInteger, nullable=False),
            Column("expires_ms", BigInteger, nullable=False),
            PrimaryKeyConstraint("scope", "key"),
            Index(f"{prefix}key_expires", "expires_ms"),
            sqlite_with_rowid=False,  # a page less to write for each record
        )

    def are_there(self, connection: Connection) -> bool:
        """Whether the tables are there, all of them. Raises SchemaUnknown where another release made them."""
        if not inspect(connection).has_table(self.meta.name):
            return False
        found = connection.execute(select(self.meta.c.schema_version)).scalar()
        if found is not None and found != SCHEMA:
            whose = "a newer" if found > SCHEMA else "an older"
            raise SchemaUnknown(
                f"the records in {self.meta.name} have schema {found}, of {whose} release; this one knows {SCHEMA}"
            )
        return found is not None

    def make(self, connection: Connection) -> None:
        """Make what is missing. Nobody else may be doing it at this moment (`Database.exclusive`)."""
        if not self.are_there(connection):
            self.metadata.create_all(connection)
            connection.execute(self.meta.insert().values(id=1, schema_version=SCHEMA, clock_ms=0, saved_ms=0, boot=0))

    def count_start(self, connection: Connection) -> int:
        """One more process has started; how many have."""
        connection.execute(update(self.meta).values(boot=self.meta.c.boot + 1))
        return int(connection.execute(select(self.meta.c.boot)).scalar_one())

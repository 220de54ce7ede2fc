"""The bank's own tables: accounts, the transfers between them, and letters that are still to be sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The bank's metadata."""


class Account(Base):
    """An account; its balance is never below zero."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("balance >= 0", name="no_overdraft"),)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    balance: Mapped[int] = mapped_column(BigInteger)


class Transfer(Base):
    """One transfer that was made; `token` is its caller's own name for it."""

    __tablename__ = "transfer"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("account.name"))
    target: Mapped[str] = mapped_column(ForeignKey("account.name"))
    amount: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[str] = mapped_column(String(128), index=True)


class Letter(Base):
    """A letter to an account's owner. A rollback cannot call a letter back, so it is written here and sent later."""

    __tablename__ = "letter"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    account: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(String(256))

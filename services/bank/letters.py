"""Sends the letters: the small worker behind the outbox table.

What a rollback cannot undo (a letter, a payment at another bank) is not done by the handler. The handler writes down,
in its transaction, that it is to be done; this worker does it and then strikes it out. A letter may so be sent twice,
if the worker dies in between, and never without its transfer: give it its id, so that the receiver can tell.
"""

from __future__ import annotations

import sys
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from bank.app import engine
from bank.models import Letter


def send_letters() -> int:
    """Send what there is; how many letters went."""
    with Session(engine) as session, session.begin():
        letters = session.scalars(select(Letter).order_by(Letter.id).limit(100).with_for_update(skip_locked=True)).all()
        for letter in letters:
            sys.stdout.write(f"letter {letter.id} to {letter.account}: {letter.text}\n")
            session.delete(letter)
        sys.stdout.flush()
    return len(letters)


if __name__ == "__main__":
    while True:
        if not send_letters():
            time.sleep(1)

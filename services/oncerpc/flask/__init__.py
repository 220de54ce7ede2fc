"""Flask: JSON-RPC methods and ordinary views whose effect and dedup record are one transaction of the user's database.

once = OnceRPC(app, engine=create_engine("postgresql+psycopg://…"))

@once.method("bank.transfer")                   a method at /rpc; `tx` is the transaction's Connection
@once.idempotent(required=True)                 an ordinary view; the transaction is `once.tx`
"""

from __future__ import annotations

from oncerpc.flask.extension import OnceRPC
from oncerpc.flask.setup import SetupError

__all__ = ["OnceRPC", "SetupError"]

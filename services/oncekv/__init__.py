"""OnceKV: a key/value store whose remote calls stay right when a reply does not come.

A call has one identity, every attempt carries it, and the server commits the call's effect together with a
dedup record; `services/README.md` walks one call through these files in order.
"""

__version__ = "0.1.0"

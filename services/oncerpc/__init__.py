"""OnceRPC: exactly-once remote calls, their effect and their dedup record in one transaction."""

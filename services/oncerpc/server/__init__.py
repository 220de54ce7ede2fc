"""The server's side of the promise: HTTP rules, dispatch, the dedup gate, sessions, leases."""

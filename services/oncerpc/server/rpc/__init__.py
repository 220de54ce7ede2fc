"""JSON-RPC: requests to calls, what may run, and the methods that are not of the key/value service."""

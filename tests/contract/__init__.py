"""The contract of docs/protocol.md, tested from outside against real server processes."""

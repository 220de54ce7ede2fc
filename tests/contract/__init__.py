"""The contract of PROTOCOL.md, tested from outside against real server processes."""

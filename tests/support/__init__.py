"""What the tests share: a raw JSON-RPC caller, raw sockets, waiting with deadlines, rules that outlive a restart.

What the contract's tests use imports no `oncekv`: they come from outside, as a stranger's client would.
"""

"""What the tests share: a raw JSON-RPC caller, raw sockets, waiting with deadlines, rules that outlive a restart.

Nothing here imports `oncekv`: the contract is tested from outside, as a stranger's client would.
"""

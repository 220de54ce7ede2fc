from collections import Counter

from oncekv.client import shard_for

SERVERS = ["kv-1", "kv-2", "kv-3"]


def test_the_rule_is_fixed():
    """A client of another release, or in another language, finds the same server."""
    found = [shard_for(key, SERVERS) for key in ("log/0", "log/1", "log/2", "é", "")]
    assert found == ["kv-1", "kv-2", "kv-3", "kv-3", "kv-1"]


def test_the_order_of_the_names_is_no_matter():
    """Two clients that list the servers differently agree."""
    assert all(shard_for(f"k{n}", SERVERS) == shard_for(f"k{n}", SERVERS[::-1]) for n in range(50))


def test_keys_spread_evenly():
    """No server is left out."""
    counts = Counter(shard_for(f"key-{n}", SERVERS) for n in range(3000))
    assert min(counts.values()) > 800

from hypothesis import given
from hypothesis import strategies as st

from oncerpc.client.retry.chunks import BYTES_MAX, CALLS_MAX, chunks
from oncerpc.client.retry.decision import CallKind
from oncerpc.client.retry.pending_call import PendingCall
from oncerpc.client.semantics import Semantics
from oncerpc.client.session.ledger import Ledger
from oncerpc.client.session.session import Epoch, Identity
from oncerpc.client.transport.request import encode_request
from oncerpc.wire.identity import SEQ_MAX

KIND = CallKind(Semantics.AT_MOST_ONCE)


def call(size):
    """A call with params of that many bytes."""
    return PendingCall("kv.put", b'{"k":"' + b"x" * (size - 8) + b'"}', KIND)


@given(st.lists(st.sampled_from([10, 300, 40_000, BYTES_MAX // 2, BYTES_MAX + 1]), max_size=600), st.integers(1, 2000))
def test_portions_are_the_calls_in_order_within_the_bounds(sizes, window):
    """None is lost, none is moved, and only a call that is too large by itself makes a body that is."""
    calls = [call(size) for size in sizes]
    found = list(chunks(calls, window))
    assert [one for chunk in found for one in chunk] == calls
    for chunk in found:
        assert 1 <= len(chunk) <= min(CALLS_MAX, window)
        assert len(chunk) == 1 or sum(len(one.params) for one in chunk) < BYTES_MAX


def test_the_envelope_is_counted_large_enough():
    """The longest `_meta` there is, of a session's name as long as the server makes them, fits into its share."""
    meta = Identity(Epoch("key", Ledger(SEQ_MAX - 1), "n" * 64), SEQ_MAX).meta() | {"timeout_ms": 2**53}
    params = b'{"key":"k"}'
    assert len(encode_request(SEQ_MAX, "", params, meta)) - len(params) <= 256

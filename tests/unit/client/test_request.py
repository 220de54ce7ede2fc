import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncerpc.client.transport.request import encode_params, encode_request

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT.filter(lambda name: name != "_meta"), JSON, max_size=4)


@given(st.integers(1, 2**53), TEXT, OBJECTS, OBJECTS)
def test_a_request_is_what_json_would_have_made_of_it(request_id, method, params, meta):
    """Whatever the params are, `_meta` is one member more, or none where it is empty."""
    whole = json.loads(encode_request(request_id, method, encode_params(params), meta))
    expected = {**params, "_meta": meta} if meta else params
    assert whole == {"jsonrpc": "2.0", "id": request_id, "method": method, "params": expected}


@pytest.mark.parametrize("params", [{"key": object()}, {"key": "\ud800"}, {1j: 1}])
def test_what_is_no_json_is_refused(params):
    """Before anything is sent."""
    with pytest.raises((TypeError, ValueError)):
        encode_params(params)

"""All tests. A plain package, so that test files share the helpers of `tests.support`."""

import pytest

pytest.register_assert_rewrite("tests.support")

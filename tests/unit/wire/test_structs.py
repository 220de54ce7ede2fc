"""What threads convert to is built before there are threads: msgspec crashes where two of them build one shape at once.

Each program runs in a process of its own, because a shape is built once. That msgspec builds shows in a function of its
own that every build calls; the crash itself comes too seldom (one start in twelve) to be waited for.
"""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

PROGRAM = """
    import sys, tempfile
    import msgspec, msgspec._utils
    from oncerpc.wire import structs
    {spoil}
    from oncekv.kv import typed_calls
    from oncekv.server.http.app import create_app
    from oncekv.server.config import Config
    from oncekv.kv.methods import all_methods
    from oncekv.server.engine.storage import open_store
    from oncekv.kv import results as kv_results
    from oncerpc.wire import identity, results as wire_results

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{{folder}}/kv.db"
        app = create_app(Config(store_url=url, failpoints=True), open_store(url))
        app.extensions["oncekv"].close()

    built = []
    real = msgspec._utils._eval_type
    msgspec._utils._eval_type = lambda *args, **more: (built.append(1), real(*args, **more))[1]
    results = [getattr(module, name) for module in (kv_results, wire_results) for name in module.__all__]
    for shape in [identity.CallMeta, *results, *(one.params for one in all_methods().values())]:
        try:
            msgspec.convert({{}}, shape)
        except msgspec.ValidationError:
            pass
    print(len(built))
"""


def _built_late(spoil: str = "") -> int:
    program = dedent(PROGRAM).format(spoil=spoil)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_nothing_is_left_for_threads_to_build() -> None:
    """Once a server stands, all that its threads, and a client's, convert to is built."""
    assert _built_late() == 0


@pytest.mark.parametrize(
    "spoil",
    [
        "structs.build_structs = lambda _shapes: None",
        "structs.build_structs = lambda shapes, real=structs.build_structs: real(list(shapes)[1:])",
    ],
    ids=["none", "all-but-one"],
)
def test_a_shape_that_is_left_out_is_noticed(spoil: str) -> None:
    """The check above fails when nothing is built beforehand, and when a single shape is forgotten."""
    assert _built_late(spoil) > 0

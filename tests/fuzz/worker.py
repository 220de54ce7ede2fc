"""libFuzzer's process, by atheris: `python -m tests.fuzz.worker TARGET CORPUS… -max_total_time=60`.

The product is imported with its branches and comparisons counted, so that an input that comes to a new place is kept.
"""

from __future__ import annotations

import sys

import atheris

PRODUCT = ["oncerpc", "oncekv"]


def main(words: list[str]) -> None:
    """Does not return."""
    with atheris.instrument_imports(include=PRODUCT):
        from tests.fuzz.targets import TARGETS
    # For -merge=1 libFuzzer starts itself again, by a shell and by this word.
    itself = f"{sys.executable} -m tests.fuzz.worker {words[1]}"
    atheris.Setup([itself, *words[2:]], TARGETS[words[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)

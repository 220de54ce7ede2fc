"""The disk is lost and the backup is a little older. What was acknowledged since is gone: no backup can promise that.
What it can promise is not to make it worse: a call of the lost time is told "unknown", and is not run once more as if
it had never been.
"""

from chaos.faults.restored_from_backup import RestoredFromBackup
from chaos.scenarios.base import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, MAYBE, MEMORY, Scenario

SCENARIO = Scenario(
    name="restored-from-backup",
    order=121,
    teaches=__doc__,
    fault=RestoredFromBackup,
    strikes_at=(0.3,),
    hold_s=0.3,
    breaks_disk=True,
    needs_file=True,
    must_lose=frozenset({AT_MOST_ONCE, EXACTLY_ONCE}),
    must_say_unknown=frozenset({AT_MOST_ONCE, EXACTLY_ONCE}),
    must_break=frozenset({MAYBE, AT_LEAST_ONCE, MEMORY, AT_MOST_ONCE, EXACTLY_ONCE}),
    runtimes=frozenset({"local"}),
)

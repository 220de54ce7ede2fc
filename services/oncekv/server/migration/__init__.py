"""`oncekv migrate`: a store's content moves to another store, of any engine, so that nobody's retry runs again.

    items       what is moved, kind by kind, in one order for all engines; counts and checksums
    sides       what an engine offers for it: to be read from, to be filled; one file per engine (`…_side`)
    move        copy in batches, compare both sides, and only then let servers in
    command     the command line

Guarantee: a target becomes a store in one step, at the end, when both sides have given the same counts and checksums;
until then servers refuse it. A batch and the note of how far the move has come are one transaction of the target's, so
whoever is killed at any moment goes on from there. Limit: that no server runs on the source is certain of SQLite alone
(its lock is held meanwhile); of the others a server is noticed by its lease clock, at the beginning and at the end.
"""

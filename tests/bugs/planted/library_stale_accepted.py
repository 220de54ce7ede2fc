"""The same bug in the same gate as `stale-accepted`, in a service on the library: there it is caught as well."""

from __future__ import annotations

from dataclasses import replace

from tests.bugs.planted.stale_accepted import BUG as IN_THE_STORE

BUG = replace(IN_THE_STORE, number=24, name="library-stale-accepted", side="library")

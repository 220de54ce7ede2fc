"""The soak: a mixed load for an hour, faults at random, and what the servers hold of memory, descriptors and disk.

The files in the order of a run: `command` reads the words; `world` has the store, two servers and the links; `run`
puts together: `lane` calls and counts effects, `nemesis` breaks, `sampler` looks at /proc and the store. `verdict` and
`table` judge from the files alone; `plot` draws.
"""

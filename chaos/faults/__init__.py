"""Faults: one file each; how it is put in, how it is known to have fired, how it is taken out again."""

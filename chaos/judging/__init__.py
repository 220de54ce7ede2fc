"""Judging: from the evidence of a run to verdicts, and nothing is asked but the files."""

"""The contrast: the bank's transfer made retry-safe in the ways that people use, and `oncerpc`, under the same faults.

`variants` has one small WSGI application for each way; `trials` what they are put through; `command` what came out.
"""

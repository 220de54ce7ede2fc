"""Planted bugs: the product with one part replaced by what a hurried engineer would have written.

Each of them must be caught by a scenario; one that slips through says that the harness, not the product, is at fault.
Nothing in the product knows of this folder: a bug replaces functions from outside, in the process that it is put into.
"""

"""Input that nobody thought of: the protocol by a state machine beside a small model, every method by its published
schema, bytes by coverage.

`model` says what each call must be answered; `machine` draws the calls; `targets` and `__main__` are `make fuzz`.
"""

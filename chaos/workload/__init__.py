"""Clients under load: what they call, how they are run, and what they write down."""

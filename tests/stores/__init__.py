"""Shared stores: what only several servers, or a store that fails by itself, can show."""

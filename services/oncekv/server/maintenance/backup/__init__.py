"""`oncekv backup`."""

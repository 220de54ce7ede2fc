"""`oncekv verify`."""

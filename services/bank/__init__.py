"""The bank: the example of a service whose calls are retry-safe by `oncerpc`, in its own database."""

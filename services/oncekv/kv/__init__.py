"""The key/value service: what its calls mean, and how a client makes them. Nothing below knows a key or a value."""

from oncekv.kv import errors as errors  # whoever knows the service knows its errors by their codes,
from oncekv.kv import reads as reads  # and its reads by their names

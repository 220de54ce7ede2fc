"""Chaos: breaks OnceKV on purpose, and judges what is left of its promises.

It knows the services as a stranger does: by their command line, by HTTP and by the client, never by the
server's insides. A scenario starts a runtime, proves the link healthy, injects a fault, proves that the fault
fired, heals it, and compares what the clients were told with what the store holds.
"""

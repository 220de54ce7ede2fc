"""The Nth I/O failure: a server's store and a client's outbox on a disk of which any one operation may fail.

The way of one trial, in the order of the files: `io_fault.c` stands between the program and libc, `shim` compiles it
and says what fails, `forked` starts a server or a client, `store_trial` and `outbox_trial` work and judge, `images`
reads what is left on the disk, and `loop` goes through every N.
"""

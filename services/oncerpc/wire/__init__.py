"""What client and server agree on: words, identities, envelopes and errors; pure, without I/O."""

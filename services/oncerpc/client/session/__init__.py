"""Identities, and the books kept of them: session, ledger, outbox, and the issuer that uses all three."""

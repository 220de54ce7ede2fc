"""What an application holds in its hands: `connect`, the stub, batches, histories, the command."""

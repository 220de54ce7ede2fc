"""The server: endpoint → dispatch → committer → delivery → methods → storage, and back the same way."""

"""HTTP: bytes to requests and replies to bytes, by threads or by an event loop; Flask around them."""

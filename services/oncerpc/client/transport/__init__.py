"""One POST and what came back: where the server is, connections, requests, replies."""

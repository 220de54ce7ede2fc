"""The HTTP rules of one endpoint, and the way of one request through them."""

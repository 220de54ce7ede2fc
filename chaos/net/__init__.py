"""Messages on their way: a proxy that knows where one ends and which call it carries."""

"""What a person or a script does in a terminal: `oncekv shell`, `oncekv top`, and the completion of both."""

"""What an answer costs, and the tokens of a prompt estimated."""

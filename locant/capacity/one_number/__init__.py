"""Adding until one single number is left: which codes allow it, what it costs, and who can take it apart."""

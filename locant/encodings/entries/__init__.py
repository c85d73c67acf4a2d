"""The catalogue's lines, one file per family: a builder per name, and what is known of it."""

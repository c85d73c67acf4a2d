"""What several packages compute with; it needs none of them."""

"""Decoders: a sum in, the rows that were added out."""

"""Lets `python -m locant` do what `locant` does."""

from locant.cli import main

main()

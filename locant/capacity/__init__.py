"""How many vectors can be added and still be told apart: laws, simulators, decoders and number formats."""

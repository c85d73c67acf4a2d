"""What each encoding costs on this machine, as ratios to what cannot be avoided: ``locant bench``."""

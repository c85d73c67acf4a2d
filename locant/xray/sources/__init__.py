"""Where a trained model comes from: a hub, a folder, a file, a package, or one of our runs."""

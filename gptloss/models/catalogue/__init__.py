"""Where the models of the registry come from."""

"""Event-driven S5 networks with real decays among the model families."""

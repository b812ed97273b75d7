"""S5 and event-SSM networks."""

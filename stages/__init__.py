"""What a run folder goes through: one file a stage, and the table of stages."""

"""The front door: the main job as a dozen functions, for notebooks and for the stages; `pumice` gives their names."""

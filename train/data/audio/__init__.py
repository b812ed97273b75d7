"""Sound files as recordings of spikes: decoded, resampled, encoded by the package's cochlea, and kept."""

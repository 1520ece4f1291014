"""Studies: their design, the trial, the runner that executes one notebook for each trial, and the store."""

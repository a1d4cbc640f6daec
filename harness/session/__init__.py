"""One way in for everybody who runs experiments: no flags, no screen, an outcome for each run."""

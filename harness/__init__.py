"""harness measures, from the client's side, whether a service survives the loss of its parts."""

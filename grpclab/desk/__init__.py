"""The profiling desk: a sidecar beside a running server that profiles it from outside, on loopback unless asked."""

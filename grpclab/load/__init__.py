"""The load generator: admission by clock, recording, summaries, engines, workers and their coordinator."""

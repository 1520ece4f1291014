"""The tests: `unit`, `integration` (real servers and processes), `browser` (Chromium), by room; `support` for all."""

# A configuration in TOML, at a rate.
ghz --config ./load.toml "$HOST"

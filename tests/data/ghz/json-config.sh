# A configuration in JSON, of which the command line takes less.
ghz --config=./load.json -c 8 -n 75 "$HOST"

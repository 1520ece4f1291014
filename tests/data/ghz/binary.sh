# Requests that are encoded already: one message in a file, and three behind their lengths on standard input.
printf '\n\003Leo' > one.bin
ghz --insecure --call greet.GreeterService.SayHello -B one.bin -c 2 -n 10 -O json -o one.json "$HOST"
printf '\005\n\003Ann\005\n\003Bob\005\n\003Eve' |
  ghz --insecure --call greet.GreeterService.SayHello -b -c 3 -n 30 -O json -o answer.json "$HOST"

# Requests and metadata that differ from call to call.
ghz --insecure --proto ./greet.proto --call greet.GreeterService.SayHello \
  -d '{"name":"guest {{.RequestNumber}}"}' \
  -m '{"request-id":"{{.RequestNumber}}","trace-id":"{{newUUID}}"}' \
  -c 6 -n 120 --timeout 5s --name 'greetings' -O json -o answer.json "$HOST"

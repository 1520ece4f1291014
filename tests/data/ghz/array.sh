# An array of requests, which take turns, over several connections; the schema comes from the server.
ghz --insecure --call greet.GreeterService/SayHello -c 4 --connections=2 --total=90 \
  --data='[{"name":"Ann"},{"name":"Bob"},{"name":"Eve"}]' --format=pretty --output=answer.json "$HOST"

# Both sides present certificates; the server's is for another name than its address.
ghz --cacert ./ca.pem --cert ./client.pem --key ./client.key --cname shop.example.org \
  --call greet.GreeterService.SayHello -d '{"name":"Joe"}' -c 5 -n 60 \
  --tags '{"team":"shop","made by":"Ann, Bob"}' -O json -o answer.json "$HOST"

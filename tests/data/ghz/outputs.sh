# Every output, one after the other.
for format in summary csv json pretty html influx-summary influx-details prometheus; do
  ghz --insecure --call greet.GreeterService.SayHello -d '{"name":"Kim"}' -c 3 -n 30 -O $format -o answer.$format "$HOST"
done

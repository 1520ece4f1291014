# A rate that rises in steps.
ghz --insecure --async --call greet.GreeterService.SayHello -d '{"name":"Ida"}' -n 1000 -c 10 \
  --load-schedule=step --load-start=40 --load-end=120 --load-step=40 --load-step-duration=500ms \
  -O json -o answer.json "$HOST"

"""The content of a call: its schema, its request, its metadata.

Each line imports only from those above it::

    call_options  the options of requests and of answers, as a plan stores them
    data_file    a file of requests, as a call's data refers to it
    payloads     the requests of a call, encoded once into one file that every worker maps
    descriptors  files of descriptors, from whatever source: completed by protobuf's own, checked, put into a pool
    metadata     Metadata: from words or Python values to the pairs that go over the wire
    protofile    A ``.proto`` file and what it imports, made into descriptors by protoc
    templates    values that differ from call to call: {{.RequestNumber}}, {{newUUID}} and their like
    varying_metadata  metadata that differs from call to call
    request      what a request says before its type is known: JSON text or Python values, read into one tree
    scalars      single values of the JSON mapping of protobuf
    schema       where the schema of a call comes from
    mixed_call   the calls of a mix as a user gives them and a plan stores them
    fields       what a descriptor says of a field that matters to its JSON
    outline      a schema in words: the kinds of methods, the fields of messages, and an example of a message to fill
    encoding     from the tree of a request to the bytes of its message, by the JSON mapping of protobuf
    csv_requests  requests in CSV, a row for each
    binary_requests  requests that are encoded already, checked against the schema
    request_data  the requests of a call, read from JSON, lines of JSON, CSV, messages or Python
    checks       what is looked for in an answer: a check by an expression, and what of it may vary
    method       what a generator calls: the path, the request encoded once, and what goes with it
    answer_watch  the answers that an engine looks into
    turns        the calls of a load one after the other: which call of a mix each is, and what it sends
"""

"""The command line: one module a command.

Each line imports only from those above it::

    help_pages      the pages of ``--help``
    completion      what the TAB key offers
    option_types    numbers, words, paths and tags that options take
    parser          commands on click: options in groups, errors in two lines
    defaults        defaults of options, from a file of the working folder
    request_options  the requests of a call: where they come from, and how they are read
    several_calls   the options of a load of several calls: a mix, or a recording
    options         what several commands share: the call, the load out of the table of factors, --set
    target_options  an application, a command, an address, and what belongs to each
    comparison_options  revisions and packages, the call and the blocks, of commands that compare two sides
    output          files and standard output, where answers go
    cluster_options  the options of a cluster that loads, and the cluster that measures blocks
    build_report    JUnit XML, and annotations and a summary for GitHub Actions
    layers          defaults, the file of --config and the command line of ``grpclab bench``, one above the other
    ghz_options     the options of ghz in the words of ``grpclab bench``
    bench_output    what ``grpclab bench`` writes, and where
    bench           ``grpclab bench``
    record          ``grpclab record``
    call_text       what ``grpclab call`` prints: services, messages and answers, as text and as JSON
    call            ``grpclab call``
    compare         ``grpclab compare``
    bisect          ``grpclab bisect``
    findings        what this machine can and cannot measure well, and what to do about it
    doctor          ``grpclab doctor``
    factors         ``grpclab factors``
    init            ``grpclab init``
    notebook        ``grpclab notebook``
    profiled        what ``grpclab profile`` does
    profile         ``grpclab profile``
    report          ``grpclab report``
    study           ``grpclab study``
    reference       the options of ``grpclab serve reference``, the calibration server
    serve           ``grpclab serve``
    certs           ``grpclab certs``
    prompts         questions in a terminal
    menu            ``grpclab menu``
    commands        every command, and the program: errors become one line and an exit code
"""

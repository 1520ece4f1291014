"""Applications: a user's function that registers servicers, hosted by grpclab under every factor of the server.

Each line imports only from those above it::

    host         the program that hosts an application: one file that any interpreter with grpcio runs
    application  start an application's host, under the factors of a server
    foreground   ``grpclab serve --app``: an application in the foreground of a terminal
"""

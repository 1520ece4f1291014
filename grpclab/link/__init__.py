"""The emulated network path between the client and the server.

Each line imports only from those above it::

    model           the emulated link without its sockets: when each byte is due, and which bytes are lost
    relay_messages  the messages between the relay and the process that started it
    relay           the process of the emulated link
    emulation       the emulated link: a relay on loopback that delays, shapes and forgets, in a process of its own
"""

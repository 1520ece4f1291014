"""The servers under test: the greeter, built sync or asyncio, in one process or several, and their launcher."""

"""talk.py ADDR PORT: says numbers to a line_echo.py on one connection, and prints those it heard.

Ends well on SIGTERM. Fails if an answer is wrong, or takes more than ten seconds.
"""
import signal
import socket
import sys
import time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
conn = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
stream = conn.makefile("rwb")
number = 0
while True:
    line = b"%d\n" % number
    stream.write(line)
    stream.flush()
    assert stream.readline() == line
    number += 1
    print(number, flush=True)
    time.sleep(0.2)  # the pace of the talk

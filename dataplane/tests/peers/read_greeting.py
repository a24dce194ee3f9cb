"""read_greeting.py ADDR PORT: connects, and prints what the server says first."""
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3) as conn:
    print(conn.recv(100).decode())

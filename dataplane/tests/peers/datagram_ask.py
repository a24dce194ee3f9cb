"""datagram_ask.py ADDR PORT LEN: sends a datagram of LEN bytes to a datagram_echo.py.

Fails unless the answer ends with the same bytes in reverse order. Prints what comes before them.
"""
import socket
import sys

addr, port, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in addr else socket.AF_INET
client = socket.socket(family, socket.SOCK_DGRAM)
client.settimeout(1)
client.connect((addr, port))
data = bytes(i * i % 251 for i in range(length))
client.send(data)
answer = client.recv(65535)
assert answer.endswith(data[::-1])
print(answer[:-length].decode())

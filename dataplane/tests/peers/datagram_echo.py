"""datagram_echo.py ADDR PORT [name-client]: answers each datagram with its bytes in reverse order.

With name-client the answer begins with the address of the client, and a space.
"""
import socket
import sys

addr, port = sys.argv[1], int(sys.argv[2])
names_client = sys.argv[3:] == ["name-client"]
family = socket.AF_INET6 if ":" in addr else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM)
server.bind((addr, port))
while True:
    data, client = server.recvfrom(65535)
    name = client[0].removeprefix("::ffff:") + " " if names_client else ""
    server.sendto(name.encode() + data[::-1], client)

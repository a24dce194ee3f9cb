"""greet.py PORT: a TCP server that speaks first, as ssh's does."""
import socket
import socketserver
import sys


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"SSH-2.0-hello\r\n")
        self.request.recv(1)


Server(("::", int(sys.argv[1])), Handler).serve_forever()

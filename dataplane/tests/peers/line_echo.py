"""line_echo.py PORT: a TCP server that answers each line with the same line."""
import socketserver
import sys


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 1000
    daemon_threads = True


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


Server(("", int(sys.argv[1])), Handler).serve_forever()

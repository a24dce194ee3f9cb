"""http_large.py PORT BYTES: a web server whose page has this many bytes."""
import http.server
import socket
import sys

port, length = int(sys.argv[1]), int(sys.argv[2])


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * length)

    def log_message(self, *args):
        pass


Server(("::", port), Handler).serve_forever()

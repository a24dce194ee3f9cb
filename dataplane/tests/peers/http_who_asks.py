"""http_who_asks.py PORT: a web server whose page is the address of the client."""
import http.server
import socket
import sys


class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())

    def log_message(self, *args):
        pass


Server(("::", int(sys.argv[1])), Handler).serve_forever()

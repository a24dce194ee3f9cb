"""An FTP server of RFC 959 and nothing that came later: it knows neither EPSV nor EPRT."""
import socket
import socketserver

FILE = b"what is in the file\n" * 10000
ANSWERS = {"USER": "230 in", "PWD": '257 "/"', "TYPE": "200 ok", "QUIT": "221 bye"}


class Handler(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def pasv(self, _):
        here = self.request.getsockname()[0]
        listener = socket.create_server((here, 0))
        port = listener.getsockname()[1]
        numbers = here.split(".") + [str(port >> 8), str(port & 255)]
        self.say(f"227 Entering Passive Mode ({','.join(numbers)}).")
        self.open_data = lambda: listener.accept()[0]

    def port(self, where):
        numbers = where.split(",")
        addr, port = ".".join(numbers[:4]), int(numbers[4]) << 8 | int(numbers[5])
        self.open_data = lambda: socket.create_connection((addr, port), 5)
        self.say("200 ok")

    def retr(self, _):
        self.say("150 here")
        with self.open_data() as data:
            data.sendall(FILE)
        self.say("226 done")

    def handle(self):
        self.say("220 hello")
        commands = {"PASV": self.pasv, "PORT": self.port, "RETR": self.retr}
        for line in self.rfile:
            verb, _, rest = line.decode().strip().partition(" ")
            if verb in commands:
                commands[verb](rest)
            else:
                self.say(ANSWERS.get(verb, "502 what?"))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


Server(("0.0.0.0", 21), Handler).serve_forever()

"""Runs a command in the background of a shell on a terminal of its own, as `COMMAND &` does, and
closes the terminal once a line comes on standard input. Prints the command's process id."""
import os
import pty
import sys

shell, terminal = pty.fork()
if shell == 0:
    # A shell with job control hands SIGHUP on to its jobs, as the kernel does to its group.
    os.execvp("bash", ["bash", "-ic", '"$@" & echo "pid $!"; wait', "-", *sys.argv[1:]])
seen = b""
while b"pid " not in seen or not seen.split(b"pid ")[1].count(b"\n"):
    seen += os.read(terminal, 1024)
print(seen.split(b"pid ")[1].split()[0].decode(), flush=True)
while True:
    # The terminal takes lines until it is told to close.
    import select

    ready, _, _ = select.select([terminal, 0], [], [])
    if terminal in ready:
        os.read(terminal, 1024)
    if 0 in ready:
        break
os.close(terminal)
os.waitpid(shell, 0)

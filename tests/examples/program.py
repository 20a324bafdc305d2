"""Server programs for the tests of examples: started, asked where they listen, and ended. They print
`listening at tcp://127.0.0.1:PORT`, end well when they are told to by SIGTERM, and say nothing on stderr."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 60  # what takes longer hangs


def fail(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)


def wait_until(condition, text):
    """For what comes by itself, but nobody says when."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < end, f"waited in vain: {text}")
        time.sleep(0.002)


class Program:
    running = []

    def __init__(self, *argv, workers=None):
        with open(argv[0], "rb") as file:
            self.has_tsan = b"__tsan_init" in file.read()
        environment = dict(os.environ)
        if workers is not None:
            environment["SKUA_WORKERS"] = str(workers)
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=self.stderr)
        Program.running.append(self)
        self.port = int(self.read_line(b"listening at tcp://").rsplit(b":", 1)[1])
        self.host = "127.0.0.1"

    def read_line(self, prefix):
        check(select.select([self.process.stdout], [], [], PATIENCE_S)[0], f"{self.process.args}: it says nothing")
        line = self.process.stdout.readline()
        check(line.startswith(prefix), f"{self.process.args}: it says {line} {self.errors()}")
        return line.strip()

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")

    def connect(self, receive_buffer=None):
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((self.host, self.port))
        return connection

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wait(self):
        """For its end, by itself. Returns what else it has printed."""
        try:
            output = self.process.communicate(timeout=PATIENCE_S)[0]
        except subprocess.TimeoutExpired:
            fail(f"{self.process.args}: it does not end")
        Program.running.remove(self)
        check(self.process.returncode == 0, f"{self.process.args}: it ends with {self.process.returncode} "
                                            f"{self.errors()}")
        check(self.errors() == "", f"{self.process.args}: it has said {self.errors()}")
        return output.decode()

    def end(self):
        # ThreadSanitizer runs handlers in its interceptors only, and all threads may sleep elsewhere.
        if self.has_tsan:
            self.process.kill()
            self.process.wait()
            Program.running.remove(self)
            check(self.errors() == "", f"{self.process.args}: it has said {self.errors()}")
            return None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()


def end_all():
    """However the test ends."""
    for program in Program.running:
        program.process.kill()
        program.process.wait()


def receive_all(connection):
    """Until the other side has closed it."""
    data = bytearray()
    try:
        while part := connection.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return bytes(data)


def receive(connection, count):
    data = bytearray()
    while len(data) < count:
        part = connection.recv(min(count - len(data), 1 << 20))
        check(part, f"the end, {len(data)} of {count} bytes came: {bytes(data[-200:])}")
        data += part
    return bytes(data)

"""What 1,000 idle connections and a flood do to a running server: the time that /health takes, and how fast answers are
made, one at a time.

usage: server_load.py BINARY MODEL [--seconds N] [--idle N]
Needs wrk (apt install wrk). Prints a table: alone, with idle connections, and in the flood.
"""
import argparse
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time

BODY = json.dumps({"model": "auto", "max_tokens": 64, "messages": [{"role": "user", "content": "Once"}]})
FLOOD = f"""wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{BODY}'
"""


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Server:
    def __init__(self, binary, model, home):
        words = [binary, "serve", "--model", model, "--server-port", "0", "--server-queue", "4", "--server-answers", "1",
                 "--server-together", "1"]
        environment = {"HOME": home, "PATH": os.environ["PATH"], "AGENTCOMPRESS_LEDGER_KEEP": "no"}
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
        line = self.process.stderr.readline()
        self.port = int(re.search(r":(\d+)/v1", line).group(1))

    def get(self, path):
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return time.perf_counter() - started, text

    def tokens(self):
        text = self.get("/metrics")[1]
        return sum(int(n) for n in re.findall(r'tokens_total\{place="local",kind="completion"\} (\d+)', text))

    def end(self):
        self.process.terminate()
        self.process.wait()


def ask(port, end):
    while time.perf_counter() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()


def measure(server, seconds):
    """Tokens a second, and how long /health took."""
    health, tokens, started = [], server.tokens(), time.perf_counter()
    while time.perf_counter() - started < seconds:
        health.append(server.get("/health")[0])
        time.sleep(0.05)
    speed = (server.tokens() - tokens) / (time.perf_counter() - started)
    return speed, 1e3 * percentile(health, 0.5), 1e3 * percentile(health, 0.99)


def measure_with_one_client(server, seconds):
    client = threading.Thread(target=ask, args=(server.port, time.perf_counter() + seconds))
    client.start()
    measured = measure(server, seconds)
    client.join()
    return measured


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--idle", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        server = Server(arguments.binary, arguments.model, home)
        script = os.path.join(home, "flood.lua")
        with open(script, "w", encoding="utf-8") as file:
            file.write(FLOOD)
        alone = measure_with_one_client(server, arguments.seconds / 3)
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(arguments.idle)]
        idle = measure_with_one_client(server, min(8, arguments.seconds))  # a connection that sends nothing is closed after 10 s
        for each in sockets:
            each.close()
        time.sleep(1)
        flood = subprocess.Popen(["wrk", "-t1", "-c64", f"-d{arguments.seconds}s", "-s", script,
                                  f"http://127.0.0.1:{server.port}/v1/chat/completions"], stdout=subprocess.PIPE, text=True)
        flooded = measure(server, arguments.seconds)
        said = flood.communicate()[0]
        print(f"{'':24} {'tokens/s':>9} {'/health p50':>12} {'p99 ms':>8}")
        for name, (speed, half, most) in (("alone", alone), (f"{arguments.idle} idle", idle), ("flood", flooded)):
            print(f"{name:24} {speed:9.1f} {half:12.2f} {most:8.2f}")
        print(re.search(r"Requests/sec:.*", said).group(0))
        server.end()


main()

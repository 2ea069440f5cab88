#!/usr/bin/python3
"""A remote model that misbehaves on request: an HTTP(S) server process for the tests of the client.

Started with port 0; prints "PORT n" and serves until its standard input ends. Each request is written to
--log as one line of JSON before it is answered. The behaviour is the first part of the path, with its
arguments after tildes: http://127.0.0.1:n/cut~3/v1/chat/completions. Standard library only; the wire
is written by hand, because a library would not let us break it.
"""
import argparse
import gzip
import json
import socket
import ssl
import struct
import sys
import threading
import time

WORDS = ["The", " answer", " is", " forty", "-two", "."]
n_connections = 0
counts = {}
counts_lock = threading.Lock()
log_lock = threading.Lock()


def chunk(content=None, finish=None, **extra):
    delta = {} if content is None else {"content": content}
    out = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "big-1",
           "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    out.update(extra)
    return out


USAGE = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}


def answer_events(usage=True, finish="stop"):
    """The events of a good answer: role, words, finish, usage."""
    first = chunk()
    first["choices"][0]["delta"] = {"role": "assistant", "content": ""}
    events = [json.dumps(first)] + [json.dumps(chunk(word)) for word in WORDS]
    if finish:
        events.append(json.dumps(chunk(finish=finish)))
    if usage:
        events.append(json.dumps({"id": "c1", "object": "chat.completion.chunk", "model": "big-1",
                                  "choices": [], "usage": USAGE}))
    return events


def whole_answer():
    return {"id": "c1", "object": "chat.completion", "model": "big-1", "usage": USAGE,
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": "".join(WORDS)}}]}


class Connection:
    def __init__(self, sock, options):
        self.sock = sock
        self.options = options
        self.buffer = b""
        self.chunked = False

    # reading
    def read_until(self, mark):
        while mark not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def read_request(self):
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = [[part.strip() for part in line.split(":", 1)] for line in lines[1:]]
        length = 0
        for name, value in headers:
            if name.lower() == "content-length":
                length = int(value)
        while len(self.buffer) < length:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return method, path, headers, body.decode("utf-8")

    # writing
    def raw(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("utf-8"))

    def head(self, status=200, content_type="text/event-stream", headers=(), length=None):
        lines = ["HTTP/1.1 %d X" % status]
        if content_type:
            lines.append("Content-Type: " + content_type)
        lines += headers
        self.chunked = False
        if length is not None:
            lines.append("Content-Length: %d" % length)
        elif length is None and "Connection: close" not in headers:
            self.chunked = True
            lines.append("Transfer-Encoding: chunked")
        self.raw("\r\n".join(lines) + "\r\n\r\n")

    def send(self, data):
        data = data if isinstance(data, bytes) else data.encode("utf-8")
        self.raw(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def end(self):
        if self.chunked:
            self.raw("0\r\n\r\n")

    def event(self, data, newline="\n", field="data: "):
        self.send(field + data + newline + newline)

    def body(self, status, text, content_type="application/json", headers=()):
        data = text if isinstance(text, bytes) else text.encode("utf-8")
        self.head(status, content_type, headers, length=len(data))
        self.raw(data)

    def reset(self):
        # Closing with a linger time of 0 sends RST.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise EOFError

    def hang(self):
        """Until the client goes away."""
        while self.sock.recv(65536):
            pass
        raise EOFError

    # behaviours
    def stream(self, events, newline="\n", field="data: ", done=True):
        self.head()
        for event in events:
            self.event(event, newline, field)
        if done:
            self.event("[DONE]", newline, field)
        self.end()

    def ok(self):
        self.stream(answer_events())

    def keepalives(self):
        """Comments before and between the events, as a good proxy sends them."""
        self.head()
        for event in answer_events():
            self.send(": keep-alive\n\n")
            self.event(event)
        self.event("[DONE]")
        self.end()

    def many(self, count):
        self.head()
        for i in range(int(count)):
            self.event(json.dumps(chunk("w%d " % i)))
        self.event(json.dumps(chunk(finish="length")))
        self.event("[DONE]")
        self.end()

    def json(self):
        self.body(200, json.dumps(whole_answer()))

    def jsoncut(self):
        data = json.dumps(whole_answer())
        self.head(200, "application/json", length=len(data))
        self.raw(data[:60])
        self.sock.close()
        raise EOFError

    def jsondrip(self):
        """A body of one byte in 20 ms."""
        self.head(200, "application/json")
        for c in json.dumps(whole_answer()):
            self.send(c)
            time.sleep(0.02)
        self.end()

    def nousage(self):
        self.stream(answer_events(usage=False))

    def bigusage(self):
        usage = {"prompt_tokens": 10 ** 18, "completion_tokens": -1}
        self.stream(answer_events(usage=False) +
                    [json.dumps({"choices": [], "usage": usage})])

    def reasoning(self):
        events = answer_events()
        thought = chunk()
        thought["choices"][0]["delta"] = {"content": None, "reasoning_content": "hm"}
        self.stream(events[:1] + [json.dumps(thought)] + events[1:])

    def slowfirst(self, ms):
        self.head()
        time.sleep(int(ms) / 1000)
        for event in answer_events() + ["[DONE]"]:
            self.event(event)
        self.end()

    def slowhead(self, ms):
        time.sleep(int(ms) / 1000)
        self.ok()

    def stall(self, k):
        self.head()
        for event in answer_events()[:int(k)]:
            self.event(event)
        self.hang()

    def commentsafter(self, k):
        """k events, then nothing but comments."""
        self.head()
        for event in answer_events()[:int(k)]:
            self.event(event)
        while True:
            self.send(": keep-alive\n\n")
            time.sleep(0.03)

    def drip(self):
        """One byte of an event in 50 ms."""
        self.head()
        for event in answer_events():
            for c in "data: " + event + "\n\n":
                self.send(c)
                time.sleep(0.05)

    def eof(self, k):
        """A clean end, by closing, after k events."""
        self.head(headers=["Connection: close"])
        for event in answer_events()[:int(k)]:
            self.event(event)
        self.sock.close()
        raise EOFError

    def eofbyte(self, n):
        """A clean end after n bytes of a good stream, without its [DONE]."""
        self.head(headers=["Connection: close"])
        self.raw("".join("data: " + event + "\n\n" for event in answer_events())[:int(n)])
        self.sock.close()
        raise EOFError

    def nodone(self):
        """Everything but [DONE], and an end as HTTP wants it."""
        self.stream(answer_events(), done=False)

    def nofinish(self):
        self.stream(answer_events(finish=None))

    def barelast(self):
        """[DONE] without any end of line."""
        self.head(headers=["Connection: close"])
        for event in answer_events():
            self.event(event)
        self.raw("data: [DONE]")
        self.sock.close()
        raise EOFError

    def afterdone(self):
        """[DONE], then rubbish, and the connection stays open."""
        self.head()
        for event in answer_events():
            self.event(event)
        self.event("[DONE]")
        self.event("rubbish")
        self.event("[DONE]")
        self.hang()

    def rst(self, k):
        self.head()
        for event in answer_events()[:int(k)]:
            self.event(event)
        time.sleep(0.03)  # a reset overtakes what is still on its way
        self.reset()

    def rstnow(self):
        self.reset()

    def closenow(self):
        self.sock.close()
        raise EOFError

    def status(self, code, retry_after=None):
        headers = [] if retry_after is None else ["Retry-After: " + retry_after.replace("_", " ")]
        self.body(int(code), json.dumps({"error": {"message": "no luck", "type": "server_error",
                                                   "code": int(code)}}), headers=headers)

    def flaky(self, n_failures, code, retry_after=None):
        """n failures, then a good answer."""
        key = (self.path, "flaky")
        with counts_lock:
            counts[key] = counts.get(key, 0) + 1
            failing = counts[key] <= int(n_failures)
        if failing:
            self.status(code, retry_after)
        else:
            self.ok()

    def errorbody(self, form):
        bodies = {
            "object": {"error": {"message": "bad model", "code": "model_not_found"}},
            "integer": {"object": "error", "message": "bad model", "code": 40401},
            "string": {"error": "bad model"},
            "detail": {"detail": "bad model"},
            "list": {"detail": [{"loc": ["body"], "msg": "bad model", "type": "x"}]},
            "long": {"error": {"message": "bad model " + "x" * 5000}},
            "control": {"error": {"message": "bad\x1b[2J\x07 model\n\u202eevil\u0085"}},
        }
        if form == "html":
            self.body(400, "<html><body>bad gateway</body></html>", "text/html")
        elif form == "plain":
            self.body(400, "bad model", "text/plain")
        elif form == "empty":
            self.body(400, "")
        elif form == "endless":
            self.head(400, "text/plain")
            while True:
                self.send("bad model " * 1000)
        else:
            self.body(400, json.dumps(bodies[form]))

    def echokey(self, code="401"):
        key = [value for name, value in self.headers if name.lower() == "authorization"][0]
        self.body(int(code), json.dumps({"error": {"message": "Incorrect API key: " + key + " " +
                                                              "y" * 150 + key}}))

    def echokeystream(self):
        key = [value for name, value in self.headers if name.lower() == "authorization"][0]
        self.head()
        self.event(answer_events()[0])
        self.event(json.dumps({"error": {"message": "x" * 285 + key}}))
        self.end()

    def errorframe(self, k):
        self.head()
        for event in answer_events()[:int(k)]:
            self.event(event)
        self.event(json.dumps({"error": {"message": "out of memory", "code": 500}}))
        self.end()

    def badjson(self, k):
        self.head()
        for event in answer_events()[:int(k)]:
            self.event(event)
        self.event('{"choices": [{"delta": {"content": ')
        self.event("[DONE]")
        self.end()

    def badutf8(self):
        self.head()
        self.send(b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n')
        self.event("[DONE]")
        self.end()

    def html200(self):
        self.body(200, "<html><body>Please log in to the network</body></html>", "text/html")

    def wrongtype(self):
        data = "".join("data: " + event + "\n\n" for event in answer_events() + ["[DONE]"])
        self.body(200, data, "application/octet-stream")

    def notype(self):
        self.head(200, None)
        self.event(answer_events()[1])
        self.end()

    def htmlasjson(self):
        self.body(200, "<html></html>", "application/json")

    def empty(self):
        self.body(200, "")

    def nocontent(self):
        self.raw("HTTP/1.1 204 X\r\n\r\n")

    def endlessline(self):
        self.head()
        self.send("data: ")
        while True:
            self.send("x" * 8192)

    def endlesscomments(self):
        self.head()
        while True:
            self.send(": " + "x" * 8000 + "\n\n")

    def endlessevents(self):
        self.head()
        event = json.dumps(chunk("word " * 100))
        while True:
            self.event(event)

    def endlessjson(self):
        self.head(200, "application/json")
        while True:
            self.send(" " * 8192)

    def hugeheaders(self):
        self.raw("HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n")
        try:
            for i in range(1000):
                self.raw("X-Filler-%d: %s\r\n" % (i, "y" * 300))
            self.raw("\r\n")
        except OSError:
            pass
        self.hang()

    def bytewise(self):
        data = "".join("data: " + event + "\n\n" for event in answer_events() + ["[DONE]"])
        self.head(headers=["Connection: close"])
        for byte in data.encode("utf-8"):
            self.raw(bytes([byte]))
        self.sock.close()
        raise EOFError

    def crlf(self):
        self.stream(answer_events(), newline="\r\n")

    def cr(self):
        self.stream(answer_events(), newline="\r")

    def nospace(self):
        self.stream(answer_events(), field="data:")

    def bom(self):
        self.head()
        self.send(b"\xef\xbb\xbf")
        for event in answer_events() + ["[DONE]"]:
            self.event(event)
        self.end()

    def gzip(self):
        data = "".join("data: " + event + "\n\n" for event in answer_events() + ["[DONE]"])
        self.body(200, gzip.compress(data.encode("utf-8")), "text/event-stream",
                  ["Content-Encoding: gzip"])

    def redirect(self, code):
        self.body(int(code), "", None,
                  ["Location: http://127.0.0.1:%d/ok/v1/chat/completions" % self.options.port])

    def http09(self):
        self.raw("hello, this is not HTTP\n")
        self.sock.close()
        raise EOFError

    def garbage(self):
        self.raw(bytes(range(256)) * 16)
        self.sock.close()
        raise EOFError

    def interim(self):
        """Two interim responses first; what they say is not about the answer."""
        self.raw("HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n")
        self.raw("HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n")
        self.ok()

    def models(self):
        self.body(200, json.dumps({"object": "list", "data": [
            {"id": "big-1", "object": "model"}, {"id": "evil\x1b[2J", "object": "model"},
            {"object": "model"}, 7]}))

    def serve(self):
        global n_connections
        with counts_lock:
            n_connections += 1
            number = n_connections
        while True:
            method, path, headers, body = self.read_request()
            self.path, self.headers = path, headers
            with log_lock:
                with open(self.options.log, "a", encoding="utf-8") as log:
                    log.write(json.dumps({"time": time.monotonic(), "connection": number,
                                          "method": method, "path": path, "headers": headers,
                                          "body": body}) + "\n")
            if method == "CONNECT":
                self.body(502, "", None)
                continue
            name, *arguments = path.split("/")[1].split("~")
            if path.endswith("/models") and name == "ok":
                name = "models"
            getattr(self, name)(*arguments)


def handle(sock, options, context):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        Connection(sock, options).serve()
    except (EOFError, OSError, ssl.SSLError, ValueError):
        pass  # the client went away, or the behaviour was to do so
    finally:
        try:
            sock.close()
        except OSError:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True)
    parser.add_argument("--cert", help="PEM file; serves TLS")
    parser.add_argument("--key")
    parser.add_argument("--tls11", action="store_true", help="no TLS above 1.1")
    options = parser.parse_args()
    context = None
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if options.tls11:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.load_cert_chain(options.cert, options.key)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    options.port = listener.getsockname()[1]
    print("PORT %d" % options.port, flush=True)

    def accept():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=handle, args=(sock, options, context), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()  # the test's end of the pipe closes with the test, however it ends


if __name__ == "__main__":
    main()

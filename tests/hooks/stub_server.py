"""A server that decides and answers as agentcompress serve does, and remembers what it was asked."""

import http.server
import json
import threading


class StubServer:
    """Prompts with "easy" in them are local. ``fail``: a path that answers 500."""

    def __init__(self):
        self.requests = []  # (path, headers, body)
        self.fail = None
        self.degraded = False
        self.must_stay = False
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {k.lower(): v for k, v in self.headers.items()}
                stub.requests.append((self.path, headers, body))
                status, answer = 200, stub.answer(self.path, body)
                if stub.fail is not None and self.path.endswith(stub.fail):
                    status, answer = 500, {"error": {"message": "out of order"}}
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Clients that leave are no news.
        self.server.handle_error = lambda request, address: None
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path, body):
        prompt = body.get("prompt") or body["messages"][-1]["content"]
        if path.endswith("/route"):
            local = "easy" in prompt
            return {"place": "local" if local else "remote", "variant": "lean",
                    "reason": "confident", "degraded": self.degraded, "must_stay": self.must_stay}
        return {"object": "chat.completion", "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant",
                                         "content": f"{body['model']}: {prompt}"}}],
                "agentcompress": {"route": "local", "model": body["model"]}}

    def paths(self):
        return [path for path, _, _ in self.requests]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

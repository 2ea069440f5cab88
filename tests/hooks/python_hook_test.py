"""The Python hook: what is easy is answered here, what is not, and what fails, where it was before."""

import asyncio
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../runtime/hooks/python"))
sys.path.insert(0, os.path.dirname(__file__))

import agentcompress  # noqa: E402
from stub_server import StubServer  # noqa: E402

try:
    import httpx
except ImportError:
    httpx = None


class HookTest(unittest.TestCase):
    def setUp(self):
        self.stub = StubServer()
        self.client = agentcompress.Client(self.stub.url)

    def tearDown(self):
        self.stub.close()


class OffloadTest(HookTest):
    def offloaded(self, **options):
        @agentcompress.offload(client=self.client, **options)
        def answer(prompt, tone="plain"):
            """Its own words."""
            return f"full model ({tone}): {prompt}"

        return answer

    def test_easy_prompts_are_answered_here(self):
        answer = self.offloaded(max_tokens=7)("an easy one")
        self.assertEqual(answer, "lean: an easy one")
        self.assertEqual(answer.receipt["route"], "local")
        self.assertEqual(self.stub.paths(), ["/v1/route", "/v1/chat/completions"])
        self.assertEqual(self.stub.requests[1][2]["max_tokens"], 7)

    def test_hard_prompts_are_not(self):
        self.assertEqual(self.offloaded()("a hard one", tone="grave"),
                         "full model (grave): a hard one")
        self.assertEqual(self.stub.paths(), ["/v1/route"])

    def test_a_function_stays_what_it_was(self):
        answer = self.offloaded()
        self.assertEqual(answer.__name__, "answer")
        self.assertEqual(answer.__doc__, "Its own words.")

    def test_without_arguments_of_its_own(self):
        os.environ["AGENTCOMPRESS_URL"] = self.stub.url
        try:
            @agentcompress.offload
            def answer(prompt):
                return "full model"
        finally:
            del os.environ["AGENTCOMPRESS_URL"]
        self.assertEqual(answer("easy"), "lean: easy")

    def test_async_functions(self):
        @agentcompress.offload(client=self.client)
        async def answer(prompt):
            return "full model: " + prompt

        self.assertEqual(asyncio.run(answer("easy")), "lean: easy")
        self.assertEqual(asyncio.run(answer("hard")), "full model: hard")

    def test_the_prompt_is_found(self):
        @agentcompress.offload(client=self.client, prompt="question")
        def by_name(context, question):
            return "full model"

        @agentcompress.offload(client=self.client, prompt=lambda parts: " ".join(parts))
        def by_function(parts):
            return "full model"

        class Pipeline:
            @agentcompress.offload(client=self.client)
            def answer(self, prompt):
                return "full model"

        self.assertEqual(by_name("hard", question="easy"), "lean: easy")
        self.assertEqual(by_function(["very", "easy"]), "lean: very easy")
        self.assertEqual(Pipeline().answer("easy"), "lean: easy")
        with self.assertRaises(TypeError):
            agentcompress.offload(lambda x: x, prompt="y")
        with self.assertRaises(TypeError):
            agentcompress.offload(lambda: "x")

    def test_what_is_no_text_is_left_alone(self):
        answer = self.offloaded()
        self.assertEqual(answer(None), "full model (plain): None")
        self.assertEqual(answer(""), "full model (plain): ")
        self.assertEqual(self.stub.requests, [])

    def test_messages_are_prompts_too(self):
        @agentcompress.offload(client=self.client)
        def answer(messages):
            return "full model"

        self.assertEqual(answer([{"role": "user", "content": "easy"}]), "lean: easy")

    def test_a_server_that_fails_changes_nothing(self):
        for path in ("/route", "/chat/completions"):
            self.stub.fail = path
            self.assertEqual(self.offloaded()("easy"), "full model (plain): easy")

    def test_a_server_that_is_not_there_changes_nothing(self):
        self.stub.close()
        self.assertEqual(self.offloaded()("easy"), "full model (plain): easy")
        self.stub = StubServer()

    def test_a_stopgap_is_not_taken(self):
        self.stub.degraded = True
        self.assertEqual(self.offloaded()("easy"), "full model (plain): easy")

    def test_what_a_rule_keeps_is_answered_here_or_not_at_all(self):
        self.stub.degraded = self.stub.must_stay = True
        self.assertEqual(self.offloaded()("easy"), "lean: easy")
        self.stub.fail = "/chat/completions"
        with self.assertRaisesRegex(agentcompress.ServerError, "kept here by a rule"):
            self.offloaded()("easy")

    def test_mistakes_of_the_function_are_its_own(self):
        @agentcompress.offload(client=self.client)
        def answer(prompt):
            raise ValueError("mine")

        with self.assertRaisesRegex(ValueError, "mine"):
            answer("hard")


class ClientTest(HookTest):
    def test_errors_say_what_the_server_said(self):
        self.stub.fail = "/route"
        with self.assertRaisesRegex(agentcompress.ServerError, "out of order") as caught:
            self.client.route("x")
        self.assertEqual(caught.exception.status, 500)

    def test_chat_and_route(self):
        self.assertEqual(self.client.route("easy")["place"], "local")
        self.assertEqual(self.client.chat("hi", model="thin"), "thin: hi")


@unittest.skipIf(httpx is None, "httpx is not installed")
class TransportTest(HookTest):
    def setUp(self):
        super().setUp()
        self.upstream = []

        def upstream(request):
            self.upstream.append(request)
            return httpx.Response(200, json={"from": "upstream"})

        self.inner = httpx.MockTransport(upstream)
        self.headers = {"authorization": "Bearer secret", "x-mine": "kept"}

    def body(self, prompt, **more):
        return {"model": "gpt", "messages": [{"role": "user", "content": prompt}], **more}

    def test_easy_goes_here_without_the_key(self):
        with httpx.Client(transport=agentcompress.transport(self.inner, client=self.client)) as web:
            answer = web.post("https://api.example/v1/chat/completions", headers=self.headers,
                              json=self.body("easy", temperature=0.5))
        self.assertEqual(answer.json()["model"], "lean")
        self.assertEqual(self.upstream, [])
        path, headers, body = self.stub.requests[-1]
        self.assertEqual(path, "/v1/chat/completions")
        self.assertNotIn("authorization", headers)
        self.assertEqual(headers["x-mine"], "kept")
        self.assertEqual(body["temperature"], 0.5)

    def test_the_rest_goes_where_it_went(self):
        with httpx.Client(transport=agentcompress.transport(self.inner, client=self.client)) as web:
            for url, body in (("https://api.example/v1/chat/completions", self.body("hard")),
                              ("https://api.example/v1/embeddings", {"input": "easy"}),
                              ("https://api.example/v1/chat/completions",
                               self.body("easy", tools=[{"type": "function"}]))):
                answer = web.post(url, headers=self.headers, json=body)
                self.assertEqual(answer.json(), {"from": "upstream"})
                self.assertEqual(json.loads(self.upstream[-1].content), body)
                self.assertEqual(self.upstream[-1].headers["authorization"], "Bearer secret")

    def test_a_failing_server_changes_nothing(self):
        self.stub.fail = "/chat/completions"
        with httpx.Client(transport=agentcompress.transport(self.inner, client=self.client)) as web:
            answer = web.post("https://api.example/v1/chat/completions", json=self.body("easy"))
        self.assertEqual(answer.json(), {"from": "upstream"})

    def test_async(self):
        async def ask(prompt):
            made = agentcompress.async_transport(self.inner, client=self.client)
            async with httpx.AsyncClient(transport=made) as web:
                return (await web.post("https://api.example/v1/chat/completions",
                                       json=self.body(prompt))).json()

        self.assertEqual(asyncio.run(ask("easy"))["model"], "lean")
        self.assertEqual(asyncio.run(ask("hard")), {"from": "upstream"})


if __name__ == "__main__":
    unittest.main()

"""The bridge's wire format, with the real model. No test asserts what the model says.

Run: .tools/llm-venv/bin/python -m unittest discover -s local/ollama_bridge -t local
"""

import json
import unittest
from typing import Any

from .harness import MODEL, BridgeProcess, chat_fields, wait_until
from .names import MODEL_SHA256

COUNTERS = (
    "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration",
)  # fmt: skip
LONG_TEXT = "word " * 900
SCHEMA = {
    "type": "object",
    "properties": {"risk": {"type": "integer", "minimum": 1, "maximum": 10}, "fixed": {"type": "boolean"}},
    "required": ["risk", "fixed"],
    "additionalProperties": False,
}

bridge: BridgeProcess


def setUpModule() -> None:
    global bridge
    bridge = BridgeProcess()


def tearDownModule() -> None:
    bridge.stop()


class Answers(unittest.TestCase):
    def test_streams_chunked_ndjson_by_default(self) -> None:
        reply = bridge.chat()
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["Content-Type"], "application/x-ndjson")
        self.assertEqual(reply.headers["Transfer-Encoding"], "chunked")
        *parts, last = reply.lines
        self.assertTrue(parts)
        for part in parts:
            self.assertEqual(set(part), {"model", "created_at", "message", "done"})
            self.assertEqual(part["message"]["role"], "assistant")
            self.assertFalse(part["done"])
        self.assertTrue(last["done"])
        self.assertEqual(last["model"], MODEL)

    def test_stream_false_is_one_object_with_the_whole_content(self) -> None:
        options = {"temperature": 0, "seed": 1, "num_predict": 8}
        whole = bridge.chat(stream=False, options=options)
        self.assertEqual(whole.headers["Content-Type"], "application/json; charset=utf-8")
        self.assertTrue(whole.json["done"])
        self.assertTrue(whole.json["message"]["content"])

    def test_num_predict_ends_with_length_and_counters_are_nanoseconds(self) -> None:
        last = bridge.chat(options={"num_predict": 3, "seed": 7}).lines[-1]
        self.assertEqual(last["done_reason"], "length")
        self.assertEqual(last["eval_count"], 3)
        self.assertGreater(last["prompt_eval_count"], 10)
        for name in COUNTERS:
            self.assertIsInstance(last[name], int)
        self.assertGreater(last["eval_duration"], 1_000_000)
        self.assertGreaterEqual(last["total_duration"], last["eval_duration"])

    def test_a_stop_sequence_ends_with_stop(self) -> None:
        last = bridge.chat(options={"stop": list("aeiou "), "num_predict": 50}).lines[-1]
        self.assertEqual(last["done_reason"], "stop")

    def test_format_schema_constrains_the_answer(self) -> None:
        for stream in (True, False):
            reply = bridge.chat("Rate this in JSON.", format=SCHEMA, stream=stream, options={"num_predict": 80})
            last = reply.lines[-1]
            self.assertEqual(last["done_reason"], "stop")
            value = json.loads("".join(part["message"]["content"] for part in reply.lines))
            self.assertIn(value["risk"], range(1, 11))
            self.assertIsInstance(value["fixed"], bool)

    def test_an_open_schema_is_closed_and_compact_as_llama_cpp_reads_it(self) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
        for seed in range(3):
            options = {"num_predict": 40, "seed": seed}
            content = bridge.chat("Rate it.", format=schema, stream=False, options=options).json["message"]["content"]
            self.assertEqual(set(json.loads(content)), {"n"})
            self.assertNotIn("\n", content)

    def test_format_json_begins_an_object(self) -> None:
        content = bridge.chat("Answer in JSON.", format="json", stream=False).json["message"]["content"]
        self.assertTrue(content.lstrip().startswith("{"))

    def test_a_schema_llama_cpp_would_ignore_is_refused(self) -> None:
        for schema in ({"type": "banana"}, {"type": "string", "pattern": "["}, {"$ref": "http://x/y"}):
            reply = bridge.chat(format=schema)
            self.assertEqual(reply.status, 400, reply.text)
            self.assertIn("invalid JSON schema in format", reply.json["error"])
        self.assertEqual(bridge.chat(format=SCHEMA, options={"num_predict": 80}).status, 200)

    def test_text_outside_ascii_and_half_surrogates_survive(self) -> None:
        reply = bridge.chat("Répète: 漏洞 \N{PILE OF POO} \ud83d", stream=False)
        self.assertEqual(reply.status, 200, reply.text)

    def test_generate_answers_with_response(self) -> None:
        reply = bridge.post("/api/generate", model=MODEL, prompt="Hello", options={"num_predict": 3})
        *parts, last = reply.lines
        self.assertTrue(all("response" in part and "message" not in part for part in parts))
        self.assertEqual((last["done_reason"], last["eval_count"]), ("length", 3))
        raw = bridge.post(
            "/api/generate", model=MODEL, prompt="one two", raw=True, stream=False, options={"num_predict": 1}
        )
        self.assertEqual(raw.json["prompt_eval_count"], 2)


class Lifecycle(unittest.TestCase):
    def test_no_messages_loads_and_keep_alive_zero_unloads(self) -> None:
        load = bridge.post("/api/chat", model=MODEL, messages=[], keep_alive=-1)
        self.assertEqual((load.json["done_reason"], load.json["done"]), ("load", True))
        (entry,) = bridge.loaded()
        self.assertEqual(entry["name"], MODEL)
        self.assertGreater(entry["expires_at"], "2200")
        (child,) = bridge.children()
        unload = bridge.post("/api/chat", model=MODEL, keep_alive=0)
        self.assertEqual(unload.json["done_reason"], "unload")
        self.assertEqual((bridge.loaded(), bridge.children()), ([], []))

    def test_keep_alive_expires_and_zero_unloads_after_the_answer(self) -> None:
        bridge.chat(keep_alive="300ms")
        wait_until(lambda: bridge.loaded() == [] and bridge.children() == [])
        bridge.chat(keep_alive=0)
        wait_until(lambda: bridge.loaded() == [])

    def test_another_num_ctx_or_shift_reloads_and_the_same_does_not(self) -> None:
        def child(**fields: Any) -> tuple[int, int]:
            fields = {"options": {"num_predict": 1, "num_ctx": 1024}, **fields}
            self.assertEqual(bridge.chat(**fields).status, 200)
            return bridge.children()[0], bridge.loaded()[0]["context_length"]

        first = child()
        self.assertEqual(first[1], 1024)
        self.assertEqual(child(), first)
        shifted = child(shift=False)
        self.assertNotEqual(shifted[0], first[0])
        self.assertEqual(child(shift=False, options={"num_predict": 1, "num_ctx": 99999})[1], 8192)

    def test_load_duration_is_paid_once(self) -> None:
        bridge.post("/api/chat", model=MODEL, keep_alive=0)
        cold, warm = (bridge.chat(stream=False).json.get("load_duration", 0) for _ in range(2))
        self.assertGreater(cold, 100 * warm)


class Errors(unittest.TestCase):
    def assert_error(self, reply: Any, status: int, text: str) -> None:
        self.assertEqual(reply.status, status, reply.text)
        self.assertEqual(set(reply.json), {"error"})
        self.assertIn(text, reply.json["error"])

    def test_400_says_what_is_wrong_with_the_request(self) -> None:
        self.assert_error(bridge.call("POST", "/api/chat"), 400, "missing request body")
        self.assert_error(bridge.call("POST", "/api/chat", b'{"model":'), 400, "invalid JSON")
        self.assert_error(bridge.call("POST", "/api/chat", b'{"model": NaN}'), 400, "not JSON")
        self.assert_error(bridge.call("POST", "/api/chat", b"[" * 100_000), 400, "nested too deeply")
        self.assert_error(bridge.call("POST", "/api/chat", b"[]"), 400, "not an object")
        self.assert_error(bridge.post("/api/chat", messages=[]), 400, "model is required")
        self.assert_error(bridge.post("/api/chat", model="../x y"), 400, "model is required")
        self.assert_error(bridge.chat(messages="hi"), 400, "cannot unmarshal string")
        self.assert_error(bridge.chat(keep_alive="10"), 400, "missing unit in duration")

    def test_400_for_what_the_bridge_cannot_do(self) -> None:
        self.assert_error(bridge.chat(think=True), 400, f'"{MODEL}" does not support thinking')
        self.assert_error(bridge.chat(think="high"), 400, "does not support thinking")
        self.assertEqual(bridge.chat(think=False).status, 200)
        self.assert_error(bridge.chat(tools=[{"type": "function"}]), 400, "does not support tools")
        self.assert_error(bridge.chat(logprobs=True), 400, "does not support logprobs")
        self.assert_error(bridge.chat(messages=[{"role": "user", "images": ["AA=="]}]), 400, "does not support images")

    def test_404_for_another_model_or_path(self) -> None:
        self.assert_error(bridge.chat(model="llama3"), 404, "model 'llama3' not found")
        self.assert_error(bridge.chat(model="smollm2:360m"), 404, "not found")
        self.assertEqual(bridge.post("/api/pull", model=MODEL).status, 404)

    def test_405_for_another_method(self) -> None:
        for method, path in (("GET", "/api/chat"), ("PUT", "/api/generate"), ("POST", "/api/tags"), ("DELETE", "/")):
            self.assertEqual(bridge.call(method, path).status, 405)

    def test_500_for_a_bad_option_or_format(self) -> None:
        reply = bridge.chat(options={"temperature": "hot"})
        self.assert_error(reply, 500, 'option "temperature" must be of type float32')
        self.assert_error(bridge.chat(options={"num_ctx": True}), 500, 'option "num_ctx" must be of type integer')
        self.assert_error(bridge.chat(options={"stop": [1]}), 500, "array of strings")
        self.assert_error(bridge.chat(format="xml"), 500, "invalid format")
        self.assertEqual(bridge.chat(options={"no_such_option": 1, "num_predict": 1}).status, 200)


class LongPrompts(unittest.TestCase):
    def test_truncate_false_or_shift_false_refuses(self) -> None:
        for fields in ({"truncate": False}, {"shift": False}):
            reply = bridge.chat(LONG_TEXT, options={"num_ctx": 512}, **fields)
            self.assertEqual(reply.status, 400)
            self.assertIn("the prompt is longer than the context length", reply.json["error"])

    def test_otherwise_the_middle_is_cut_silently(self) -> None:
        reply = bridge.chat(LONG_TEXT, options={"num_ctx": 512, "num_predict": 2})
        self.assertEqual((reply.status, reply.lines[-1]["prompt_eval_count"]), (200, 258))

    def test_without_shift_an_answer_ends_where_the_context_does(self) -> None:
        options = {"num_ctx": 100, "num_predict": -1, "stop": []}
        last = bridge.chat("Count from 1 to 1000.", shift=False, options=options).lines[-1]
        self.assertLessEqual(last["prompt_eval_count"] + last["eval_count"], 100)


class Lists(unittest.TestCase):
    def test_the_model_is_described_from_its_file(self) -> None:
        (model,) = bridge.call("GET", "/api/tags").json["models"]
        self.assertEqual((model["digest"], model["size"]), (MODEL_SHA256, 98_362_432))
        details = model["details"]
        self.assertEqual((details["parameter_size"], details["quantization_level"]), ("134.52M", "Q4_1"))

    def test_the_bridge_says_what_it_is(self) -> None:
        self.assertEqual(bridge.call("GET", "/api/version").json, {"version": "0.33.0-devbridge"})
        self.assertEqual(bridge.call("GET", "/").text, "Ollama is running")
        self.assertEqual(bridge.call("HEAD", "/").text, "")

    def test_a_connection_serves_requests_before_and_after_an_error(self) -> None:
        connection = bridge.connect()
        for fields, status in (({}, 200), ({"model": "x"}, 404), ({"stream": False}, 200)):
            connection.request("POST", "/api/chat", json.dumps(chat_fields("Hi", **fields)))
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, status)
        connection.close()

"""The bridge's pure parts: names, durations, options, the cut of a long prompt, the GGUF reader."""

import dataclasses
import math
import tempfile
import unittest
from pathlib import Path
from typing import Any

from .answer import _fit, rfc3339
from .errors import ApiError
from .gguf import Gguf, GgufError, _human, read_gguf
from .names import check_model_name
from .request import parse_chat, parse_generate
from .schema import for_llguidance

GGUF = Gguf(Path("m"), 1, "0", 0, "llama", 134_515_008, "Q4_1", 1 << 16, adds_bos=False)


def chat(**fields: Any) -> Any:
    return parse_chat({"messages": [{"role": "user", "content": "x"}], **fields}, "m", GGUF.context_length)


class Names(unittest.TestCase):
    def test_the_model_answers_to_its_tag_to_latest_and_to_none(self) -> None:
        for name in ("smollm2:135m", "SmolLM2:135M", "smollm2", "smollm2:latest", "library/smollm2",
                     "registry.ollama.ai/library/smollm2:135m"):  # fmt: skip
            self.assertEqual(check_model_name(name), name)

    def test_another_name_is_404_and_none_is_400(self) -> None:
        for name, status in (
            ("smollm2:1.7b", 404),
            ("other/smollm2", 404),
            ("", 400),
            (None, 400),
            ("a b", 400),
            (3, 400),
        ):
            with self.assertRaises(ApiError) as caught:
                check_model_name(name)
            self.assertEqual(caught.exception.status, status, name)


class Requests(unittest.TestCase):
    def test_keep_alive_is_seconds_or_a_go_duration(self) -> None:
        cases: tuple[tuple[Any, float], ...] = (
            (None, 300), (10, 10), (0, 0), (1.5, 1.5), (-1, math.inf), ("10m", 600), ("1h30m", 5400),
            ("300ms", 0.3), ("-1s", math.inf), ("0", 0), ("1.5s", 1.5), (".5s", 0.5),
        )  # fmt: skip
        for value, seconds in cases:
            self.assertAlmostEqual(chat(keep_alive=value).keep_alive, seconds, msg=str(value))
        invalid: tuple[Any, ...] = ("", "10", "s", "1x", "1s!", "--1s", True, [], {})
        for value in invalid:
            with self.assertRaises(ApiError) as caught:
                chat(keep_alive=value)
            self.assertEqual(caught.exception.status, 400, value)

    def test_ollamas_defaults_are_always_sent(self) -> None:
        options = chat().options
        self.assertEqual(
            (options["temperature"], options["top_k"], options["top_p"], options["min_p"]), (0.8, 40, 0.9, 0.0)
        )
        self.assertEqual((options["repeat_penalty"], options["seed"], options["num_keep"]), (1.0, -1, 4))

    def test_null_is_absent_and_a_float_is_an_integer(self) -> None:
        request = chat(options={"top_k": None, "num_predict": 12.9}, format=None, stream=None, truncate=None)
        self.assertEqual((request.options["top_k"], request.options["num_predict"]), (40, 12))
        self.assertTrue(request.stream and request.truncate)

    def test_only_num_ctx_and_shift_force_a_reload(self) -> None:
        self.assertEqual(chat().launch, chat(options={"num_thread": 8, "seed": 3, "num_gpu": 99}).launch)
        self.assertNotEqual(chat().launch, chat(options={"num_ctx": 2048}).launch)
        self.assertNotEqual(chat().launch, chat(shift=False).launch)

    def test_generate_becomes_messages_unless_raw(self) -> None:
        request = parse_generate({"prompt": "p", "system": "s"}, "m", 4096)
        self.assertEqual([message["role"] for message in request.messages], ["system", "user"])
        self.assertEqual(parse_generate({"prompt": "p", "raw": True}, "m", 4096).raw_prompt, "p")
        self.assertTrue(parse_generate({}, "m", 4096).is_empty())


class Schemas(unittest.TestCase):
    def test_objects_are_closed_wherever_they_are_and_the_client_may_say_otherwise(self) -> None:
        thing = {"type": "object", "properties": {"a": {"type": "string"}}}
        closed = {**thing, "additionalProperties": False}
        opened = {**thing, "additionalProperties": True}
        given = {
            "properties": {"x": thing, "y": opened, "z": {"items": thing}},
            "anyOf": [thing],
            "$defs": {"t": thing},
        }
        written = for_llguidance(given)
        self.assertEqual(written["properties"], {"x": closed, "y": opened, "z": {"items": closed}})
        self.assertEqual((written["anyOf"], written["$defs"]), ([closed], {"t": closed}))
        self.assertNotIn("additionalProperties", for_llguidance({"type": "object"}))
        self.assertNotIn("additionalProperties", for_llguidance({"properties": {}, "allOf": [thing]}))


class LongPrompts(unittest.TestCase):
    def cut(self, num_ctx: int, tokens: int, bos: bool = False, num_keep: int = 4) -> list[int]:
        request = chat(options={"num_ctx": num_ctx, "num_keep": num_keep})
        return _fit(list(range(tokens)), request, dataclasses.replace(GGUF, adds_bos=bos))

    def test_a_prompt_that_leaves_room_for_one_token_is_whole(self) -> None:
        self.assertEqual(len(self.cut(512, 511)), 511)

    def test_the_head_and_the_tail_stay(self) -> None:
        kept = self.cut(512, 900)
        self.assertEqual((len(kept), kept[:5], kept[-1]), (258, [0, 1, 2, 3, 646], 899))

    def test_known_counts_of_models_with_a_bos_token(self) -> None:
        self.assertEqual(len(self.cut(512, 900, bos=True)), 259)
        self.assertEqual(len(self.cut(32768, 50_000, bos=True)), 16387)  # ollama issue 3839

    def test_no_num_keep_breaks_the_cut(self) -> None:
        for num_keep in (-1, 0, 511, 512, 10_000):
            self.assertLess(len(self.cut(512, 900, num_keep=num_keep)), 512)


class Files(unittest.TestCase):
    def test_a_file_with_another_digest_or_content_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "m.gguf"
            for content, sha256 in (
                (b"GGUF", "00"),
                (b"GGUF", None),
                (b"no", None),
                (b"GGUF\3\0\0\0" + b"\1" * 40, None),
            ):
                path.write_bytes(content)
                with self.assertRaises(GgufError):
                    read_gguf(path, sha256)

    def test_numbers_are_printed_as_ollama_prints_them(self) -> None:
        self.assertEqual([_human(n) for n in (134_515_008, 7_000_000_000, 12)], ["134.52M", "7B", "12"])
        self.assertEqual(rfc3339(1_000_000_001), "1970-01-01T00:00:01.000000001Z")

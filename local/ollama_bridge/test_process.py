"""Queue, disconnects, dying processes and hostile HTTP, with the real model (Linux: reads /proc)."""

import http.client
import json
import signal
import socket
import threading
import unittest
from pathlib import Path

from .body import MAX_BODY
from .harness import BridgeProcess, Reply, chat_fields, kill, running, wait_until

QUEUE = 2


class WithBridge(unittest.TestCase):
    def setUp(self) -> None:
        self.bridge = BridgeProcess("--max-queue", str(QUEUE))
        self.addCleanup(self.bridge.stop)

    def in_background(self, count: int) -> tuple[list[threading.Thread], list[Reply]]:
        """Chats that run at the same time, and the list that gets their replies."""
        replies: list[Reply] = []
        threads = [
            threading.Thread(
                target=lambda: replies.append(self.bridge.chat(options={"num_predict": 2, "num_ctx": 8192}))
            )
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        return threads, replies


class Queue(WithBridge):
    def test_requests_beyond_the_queue_get_503_and_the_others_are_served(self) -> None:
        with self.bridge.started_stream():
            threads, replies = self.in_background(QUEUE + 3)
            wait_until(lambda: len(replies) == 3)
            self.assertEqual([reply.status for reply in replies], [503] * 3)
            self.assertEqual(
                replies[0].json,
                {"error": "server busy, please try again.  maximum pending requests exceeded"},
            )
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(reply.status for reply in replies), [200, 200, 503, 503, 503])

    def test_a_client_that_leaves_the_queue_frees_its_place(self) -> None:
        with self.bridge.started_stream():
            self.leave_after_queueing(QUEUE)
            self.leave_after_queueing(QUEUE)  # there is room again
        self.assertEqual(self.bridge.chat().status, 200)

    def leave_after_queueing(self, count: int) -> None:
        """Fills the queue (the next request is refused), then disconnect and wait for room."""
        waiting = [self.bridge.connect() for _ in range(count)]
        for connection in waiting:
            connection.request("POST", "/api/chat", json.dumps(chat_fields("Hi")))
        wait_until(lambda: self.status_at_the_door() == 503)
        for connection in waiting:
            connection.close()
        wait_until(lambda: self.status_at_the_door() != 503)

    def status_at_the_door(self) -> int | None:
        """Returns the status a new request gets at once; none while it waits (and is then withdrawn)."""
        connection = http.client.HTTPConnection(self.bridge.address, timeout=0.5)
        try:
            connection.request("POST", "/api/chat", json.dumps(chat_fields("Hi")))
            return connection.getresponse().status
        except TimeoutError:
            return None
        finally:
            connection.close()


class Disconnects(WithBridge):
    def test_a_client_that_leaves_in_mid_stream_stops_the_model(self) -> None:
        with self.bridge.started_stream():
            pass
        # 3000 tokens would take most of a minute; the next answer's own durations show it did not wait.
        last = self.bridge.chat(options={"num_predict": 2, "num_ctx": 8192}).lines[-1]
        self.assertLess(last["total_duration"], 20 * 10**9)

    def test_a_client_that_leaves_before_the_first_token_stops_the_model(self) -> None:
        connection = self.bridge.connect()
        fields = chat_fields("word " * 7000, stream=False, options={"num_ctx": 8192, "num_predict": 3000})
        connection.request("POST", "/api/chat", json.dumps(fields))
        wait_until(lambda: bool(self.bridge.loaded()))
        connection.close()
        self.assertEqual(self.bridge.chat(options={"num_predict": 2, "num_ctx": 8192}).status, 200)


class Processes(WithBridge):
    def test_a_killed_runner_ends_the_stream_with_an_error_and_is_replaced(self) -> None:
        with self.bridge.started_stream() as response:
            kill(self.bridge.children()[0])
            last = json.loads(response.read().splitlines()[-1])
        self.assertEqual(set(last), {"error"})
        self.assertIn("model runner has unexpectedly stopped", last["error"])
        self.assertEqual(self.bridge.chat().status, 200)

    def test_sigterm_ends_everything_cleanly(self) -> None:
        with self.bridge.started_stream() as response:
            (child,) = self.bridge.children()
            self.bridge.process.send_signal(signal.SIGTERM)
            last = json.loads(response.read().splitlines()[-1])
        self.assertEqual(set(last), {"error"})
        self.assertEqual(self.bridge.process.wait(20), 0)
        self.assertFalse(running(child))
        self.assertFalse(self.bridge.port_file.exists())

    def test_a_killed_bridge_takes_the_model_with_it(self) -> None:
        self.bridge.chat()
        (child,) = self.bridge.children()
        kill(self.bridge.process.pid)
        wait_until(lambda: not running(child))

    def test_both_processes_listen_on_the_loopback_address_only(self) -> None:
        self.bridge.chat()
        for pid in (self.bridge.process.pid, *self.bridge.children()):
            listening = listening_addresses(pid)
            self.assertTrue(listening)
            self.assertTrue(all(address == "0100007F" for address in listening), listening)


class HostileHttp(WithBridge):
    def test_a_body_too_large_is_refused_with_413(self) -> None:
        reply = self.bridge.call("POST", "/api/chat", b"x" * (MAX_BODY + 1))
        self.assertEqual(reply.status, 413)

    def test_a_chunked_body_and_a_bad_length_are_refused(self) -> None:
        head = f"POST /api/chat HTTP/1.1\r\nHost: {self.bridge.address}\r\n"
        for field, status in (
            ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
            ("Content-Length: -1\r\n\r\n", b"400"),
            ("Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        ):
            self.assertEqual(self.raw(head + field).split(b" ")[1], status)

    def test_web_pages_are_refused(self) -> None:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
            self.assertEqual(self.bridge.call("GET", "/api/tags", headers=headers).status, 403, headers)
        local = {"Origin": "http://localhost:3000"}
        self.assertEqual(self.bridge.call("GET", "/api/tags", headers=local).status, 200)

    def test_an_http_1_0_client_gets_unchunked_lines(self) -> None:
        body = json.dumps(chat_fields("Hi"))
        answer = self.raw(f"POST /api/chat HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        head, _, lines = answer.partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head)
        self.assertTrue(json.loads(lines.splitlines()[-1])["done"])

    def test_an_unfinished_request_harms_nobody_else(self) -> None:
        with socket.create_connection(address_of(self.bridge)) as half:
            half.sendall(b"POST /api/chat HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
            self.assertEqual(self.bridge.chat().status, 200)

    def raw(self, request: str) -> bytes:
        """Bytes in, all bytes out."""
        with socket.create_connection(address_of(self.bridge), timeout=60) as connection:
            connection.sendall(request.encode())
            answer = b""
            while data := connection.recv(65536):
                answer += data
            return answer


class CommandLine(unittest.TestCase):
    def test_a_taken_port_is_an_error_at_start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            self.assertRaisesRegex(RuntimeError, "Address already in use", BridgeProcess, "--port", port)

    def test_another_host_is_refused(self) -> None:
        self.assertRaisesRegex(RuntimeError, "invalid choice", BridgeProcess, "--host", "0.0.0.0")


def address_of(bridge: BridgeProcess) -> tuple[str, int]:
    connection: http.client.HTTPConnection = bridge.connect()
    return connection.host, connection.port


def listening_addresses(pid: int) -> list[str]:
    """Returns the local addresses of a process's listening TCP sockets, in the kernel's hexadecimal."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1].partition(":")[0])
    return found

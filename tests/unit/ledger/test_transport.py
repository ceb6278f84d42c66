"""Ways to a node: secrets stay inside, and no answer, however long, slow or odd, does more than being refused."""

import json
import socket
import threading
from base64 import b64decode
from contextlib import contextmanager, suppress

import pytest
from websockets.sync.server import serve

from chainsec.errors import ChainSecError, ConfigError, LedgerError, NodeUnreachable, TooMuch
from chainsec.ledger.engine import open_engine
from chainsec.ledger.rpc import transport
from chainsec.ledger.rpc.caller import Caller
from chainsec.ledger.rpc.transport import open_transport, shown_url

URLS_WITH_SECRETS = [
    "http://me:SECRET@127.0.0.1:1/",
    "http://me:pa/SECRET@127.0.0.1:1",
    "http://me:SECRET@127.0.0.1:99999/",
    "http://me:SECRET@127.0.0.1:x/",
    "htps://me:SECRET@127.0.0.1:1/",
    "http://me:SECRET@/x",
    "http://127.0.0.1:1/v3/SECRET",
    "http://127.0.0.1:1/?key=SECRET#SECRET",
    "ws://SECRET@127.0.0.1:1/rpc?key=SECRET",
    "ws://me:SECRET@127.0.0.1:1/SECRET",
    "me:SECRET@127.0.0.1",
]


@pytest.mark.parametrize("url", URLS_WITH_SECRETS)
def test_a_secret_in_a_url_stands_in_no_error_whatever_is_wrong_with_it(url):
    assert "SECRET" not in shown_url(url)
    with pytest.raises(ChainSecError) as failed:
        open_engine(url, patience_s=0.1)
    assert "SECRET" not in str(failed.value) + repr(vars(failed.value))


@contextmanager
def http_node(*answers, chunks_s=0):
    """Serve raw HTTP answers, one a connection, and give the address and what was asked."""
    asked, stopped = [], threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def run():
        for answer in answers:
            with suppress(OSError), server.accept()[0] as connection:
                question = b""
                while not question.endswith((b"}", b"]")):
                    question += connection.recv(2**16)
                asked.append(question)
                if not chunks_s:
                    connection.sendall(answer)
                    continue
                for place in range(len(answer)):
                    if stopped.wait(chunks_s):
                        return
                    connection.sendall(answer[place : place + 1])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.getsockname()[1]}", asked
    stopped.set()
    server.close()


def http(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def answer(result, number=1):
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()


def failure(number=1, **error):
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode()


def test_user_and_password_are_sent_as_they_are_meant():
    with http_node(http(answer("0x1"))) as (place, asked):
        assert (
            Caller(open_transport(f"http://m%40e:p%2F%3Aж@{place}/x?y=1", 5), patience_s=1).ask("eth_chainId") == "0x1"
        )
    [head] = asked
    line, *fields = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
    assert line.startswith("POST /x?y=1 ")
    [secret] = [field.partition("Basic ")[2] for field in fields if field.startswith("Authorization")]
    assert b64decode(secret).decode() == "m@e:p/:ж"


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Internal Server Error", "413 Content Too Large"])
def test_an_error_that_a_node_sends_under_a_state_of_http_is_that_error(status):
    said = http(failure(code=-32005, message="at most 10 blocks"), status)
    with (
        http_node(said) as (place, asked),
        pytest.raises(LedgerError, match="eth_getLogs: at most 10 blocks") as failed,
    ):
        Caller(open_transport(f"http://{place}", 5), patience_s=1).ask("eth_getLogs", {})
    assert failed.value.code == -32005
    assert len(asked) == 1


def test_a_busy_node_that_says_so_in_json_is_asked_again():
    busy = http(failure(code=-32005, message="slow down"), "429 Too Many Requests")
    with http_node(busy, http(answer("0x7", 2))) as (place, _):
        assert Caller(open_transport(f"http://{place}", 5), patience_s=5).ask("eth_blockNumber") == "0x7"


def test_an_answer_that_does_not_end_is_given_up_when_its_time_is_over():
    with http_node(http(answer("0x" + "1" * 500)), chunks_s=0.02) as (place, _), pytest.raises(NodeUnreachable):
        open_transport(f"http://{place}", 0.3).exchange(b"{}")


def test_an_answer_over_http_that_is_too_long_is_not_kept(monkeypatch):
    monkeypatch.setattr(transport, "_MOST_BYTES", 2**20)
    long = http(answer("0x" + "1" * 2**21))
    with http_node(long) as (place, _), pytest.raises(TooMuch, match=r":\d+: answers with more than 1 MiB"):
        open_transport(f"http://{place}", 5).exchange(b"{}")


@contextmanager
def ws_node(handle):
    with serve(handle, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def test_an_answer_over_a_websocket_that_is_too_long_is_not_kept(monkeypatch):
    monkeypatch.setattr(transport, "_MOST_BYTES", 2**20)

    def handle(connection):
        connection.recv()
        connection.send("1" * 2**21)

    with ws_node(handle) as url, pytest.raises(TooMuch, match="more than 1 MiB"):
        open_transport(url, 5).exchange(b"{}")


def test_an_unasked_message_spoils_one_question_and_not_those_after_it():
    strays = iter([True, False, False])

    def handle(connection):
        for text in connection:
            if next(strays):
                connection.send('{"jsonrpc":"2.0","method":"eth_subscription","params":{}}')
            connection.send(answer("0x5", json.loads(text)["id"]).decode())

    with ws_node(handle) as url:
        caller = Caller(open_transport(url, 5), patience_s=5)
        with pytest.raises(LedgerError, match="no answer to what was asked"):
            caller.ask("eth_blockNumber")
        assert [caller.ask("eth_blockNumber") for _ in range(2)] == ["0x5", "0x5"]
        caller.close()


@contextmanager
def ipc_node(path, *answers):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def run():
            for text in answers:
                with suppress(OSError), server.accept()[0] as connection:
                    connection.recv(2**16)
                    connection.sendall(text)
                    connection.recv(1)

        threading.Thread(target=run, daemon=True).start()
        yield f"ipc:{path}"


@pytest.mark.parametrize("parts", [[b"", b"\n"], [b"\n"], [b""]])
def test_over_a_socket_file_an_answer_is_whole_also_when_its_line_feed_comes_late_or_the_node_hangs_up(tmp_path, parts):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "n.ipc"))
        server.listen()

        def run():
            with suppress(OSError), server.accept()[0] as connection:
                connection.recv(2**16)
                connection.sendall(answer("0x1") + parts[0])
                for part in parts[1:]:
                    connection.sendall(part)

        threading.Thread(target=run, daemon=True).start()
        assert Caller(open_transport(f"ipc:{tmp_path / 'n.ipc'}", 2), patience_s=1).ask("eth_chainId") == "0x1"


def test_over_a_socket_file_nesting_without_end_and_endless_texts_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(transport, "_MOST_BYTES", 2**20)
    deep = b"[" * 100_000 + b"]" * 100_000
    with ipc_node(tmp_path / "n.ipc", deep, b"1" * 2**22, answer("0x1", 3)) as url:
        caller = Caller(open_transport(url, 5), patience_s=1)
        with pytest.raises(LedgerError, match="no JSON"):
            caller.ask("eth_chainId")
        with pytest.raises(TooMuch, match="more than 1 MiB"):
            caller.ask("eth_chainId")
        assert caller.ask("eth_chainId") == "0x1"
        caller.close()


@pytest.mark.parametrize("url", ["ws://" + "a" * 70 + ".example", "http://" + "a" * 70 + ".example"])
def test_a_host_that_cannot_be_is_one_line(url):
    with pytest.raises((ConfigError, NodeUnreachable)):
        open_engine(url, patience_s=0.1)

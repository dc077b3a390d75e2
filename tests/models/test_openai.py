"""The remote model against a real HTTP server on loopback."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BrokenRunError, InputError
from harness.types import (
    AdapterSpec,
    Candidate,
    Completion,
    Decoding,
    Generate,
)  # fmt: skip
from harness_models.remote.answers import retry_after
from harness_models.remote.limits import Limits
from harness_models.remote.model import OpenAIModel
from tests.models.conftest import ask, generates, make_remote, reasons, user
from tests.models.serving import Answer, Server, said

KEY = "sk-secret-of-the-test"
pytestmark = pytest.mark.usefixtures("quick_remote")


def test_a_completion_is_asked_and_read(server: Server) -> None:
    model, candidate = make_remote(server.url)
    request = Generate(
        messages=user("hi"),
        decoding=Decoding(max_new_tokens=7, temperature=0.5, top_p=0.9, stop=("###", "b", "c", "d", "lo"), seed=3),
        draw=2,
    )
    (reply,) = ask(model, candidate, [request])
    assert isinstance(reply, Completion)
    assert (reply.text, reply.finish) == ("hel", "stop")  # the fifth stop string is cut here
    assert (reply.prompt_tokens, reply.completion_tokens) == (5, 2)
    assert server.headers[0]["path"] == "/v1/chat/completions"
    assert server.bodies[0] == {
        "model": "tiny", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "top_p": 0.9, "seed": 5,
        "max_tokens": 7, "stop": ["###", "b", "c", "d"],
    }  # fmt: skip


def test_requests_go_side_by_side_but_not_all_at_once(server: Server) -> None:
    def slow(body: dict[str, Any]) -> Answer:
        time.sleep(0.05)
        return said(body["messages"][0]["content"].upper())

    server.answer = slow
    model, candidate = make_remote(server.url)
    prompts = [f"prompt {number}" for number in range(24)]
    replies = ask(model, candidate, generates(*prompts))
    assert [reply.text for reply in replies] == [prompt.upper() for prompt in prompts]
    assert 2 <= server.most_busy <= 8


def test_replies_are_delivered_as_they_arrive_and_from_the_asking_thread(server: Server) -> None:
    released = threading.Event()

    def answer(body: dict[str, Any]) -> Answer:
        if body["messages"][0]["content"] == "slow":
            assert released.wait(1.5)
        return said("done")

    server.answer = answer
    model, candidate = make_remote(server.url)
    order: list[int] = []

    def deliver(index: int, reply: object) -> None:
        order.append(index)
        assert threading.current_thread() is threading.main_thread()
        released.set()

    model.answer(candidate, generates("slow", "quick"), deliver)
    assert order == [1, 0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Server, status: int) -> None:
    answers = iter([(status, {}, {"error": "busy"}), (status, {}, {"error": "busy"}), said("at last")])
    server.answer = lambda body: next(answers)
    model, candidate = make_remote(server.url)
    (reply,) = ask(model, candidate, generates("hi"))
    assert isinstance(reply, Completion)
    assert reply.text == "at last"
    assert len(server.bodies) == 3


def test_retry_after_is_honoured(server: Server) -> None:
    answers = iter([(429, {"Retry-After": "0.3"}, {}), said("ok")])
    server.answer = lambda body: next(answers)
    model, candidate = make_remote(server.url)
    begin = time.monotonic()
    ask(model, candidate, generates("hi"))
    assert time.monotonic() - begin > 0.09  # cut to twice the longest wait, which is 0.05 here


def test_retry_after_reads_seconds_and_dates_and_survives_nonsense() -> None:
    assert retry_after("2") == 2.0
    assert retry_after("-5") == 0.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") is None
    assert retry_after(None) is None


def test_a_server_that_stays_busy_is_a_no_reply_with_its_words(server: Server) -> None:
    server.answer = lambda body: (503, {}, {"error": {"message": "overloaded\n\x1b[31mnow"}})
    model, candidate = make_remote(server.url)
    (reason,) = reasons(ask(model, candidate, generates("hi")))
    assert reason.startswith("the server answered 503 (overloaded")
    assert "\n" not in reason
    assert len(server.bodies) == OpenAIModel.limits.attempts


def test_a_refused_request_is_not_asked_again_and_spares_the_others(server: Server) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if body["messages"][0]["content"] == "bad":
            return 400, {}, {"error": {"message": "this prompt violates our policy"}}
        return said("fine")

    server.answer = answer
    model, candidate = make_remote(server.url)
    replies = ask(model, candidate, generates("bad", "good"))
    assert "violates our policy" in reasons(replies)[0]
    assert isinstance(replies[1], Completion)
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("value", "said_why"),
    [
        (b"<html>", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "no choices"),
        (b'{"choices": [{"message": {"content": null}}]}', "no text"),
        (b'{"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}', "filtered"),
        (b'{"choices": 3}', "no choices"),
    ],
)
def test_an_unusable_answer_is_a_no_reply(server: Server, value: bytes, said_why: str) -> None:
    server.answer = lambda body: (200, {}, value)
    model, candidate = make_remote(server.url)
    assert said_why in reasons(ask(model, candidate, generates("hi")))[0]


def test_a_reply_without_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_models.remote.client._MOST_BYTES", 1000)
    server.answer = lambda body: (200, {}, b"x" * 5000)
    model, candidate = make_remote(server.url)
    assert "larger than" in reasons(ask(model, candidate, generates("hi")))[0]


def test_a_server_that_never_answers_is_a_no_reply(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAIModel, "limits", Limits(first_wait=0.01))

    def never(body: dict[str, Any]) -> Answer:
        time.sleep(5)
        return said("too late")

    server.answer = never
    model, candidate = make_remote(server.url, timeout=0.2)
    assert "no answer within 0.2 s" in reasons(ask(model, candidate, generates("hi")))[0]
    assert len(server.bodies) == 2


def test_no_server_at_all_breaks_the_run(server: Server) -> None:
    url = server.url
    server.http.shutdown()
    server.http.server_close()
    model, candidate = make_remote(url)
    address = url.removeprefix("http://").partition("/")[0]
    with pytest.raises(BrokenRunError, match=f"cannot be reached: {address} refused the connection; start it, or mend"):
        ask(model, candidate, generates("hi"))


def test_a_server_whose_name_nobody_knows_breaks_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    model, candidate = make_remote("http://nowhere.invalid:80/v1")
    with pytest.raises(BrokenRunError, match=r"the name nowhere\.invalid cannot be looked up"):
        ask(model, candidate, generates("hi"))


def test_a_wrong_key_a_wrong_model_and_a_redirect_end_the_run_with_the_next_step(server: Server) -> None:
    for answer, words in (
        ((401, {}, {"error": {"message": "bad key"}}), r"HARNESS_API_KEYS=127.0.0.1:\d+=KEY"),
        ((404, {}, {"error": "no such model"}), "no such model"),
        ((307, {"Location": "http://elsewhere.example/v1"}, {}), "elsewhere.example"),
    ):
        server.answer = lambda body, answer=answer: answer
        model, candidate = make_remote(server.url)
        with pytest.raises(InputError, match=words):
            ask(model, candidate, generates("hi"))


def test_the_key_is_sent_to_the_server_and_shown_nowhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_API_KEYS", f"elsewhere.example=other {server.url.split('/')[2]}={KEY}")
    server.answer = lambda body: (400, {}, {"error": {"message": f"your key {KEY} is odd"}})
    model, candidate = make_remote(server.url)
    (reason,) = reasons(ask(model, candidate, generates("hi")))
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in reason
    assert KEY not in json.dumps([dict(model.fingerprint(candidate)), dict(model.facts())])


def test_a_key_is_sent_to_its_own_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_models.remote.client import key_for

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert key_for("https://api.openai.com/v1") == KEY
    for other in ("https://judge.example/v1", "http://localhost:8000/v1", "http://api.openai.com/v1"):
        assert key_for(other) is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    assert key_for("http://localhost:8000/v1") == KEY
    assert key_for("http://localhost:8001/v1") is None
    assert key_for("https://api.openai.com/v1") is None
    monkeypatch.setenv("HARNESS_API_KEYS", "Judge.example=one judge.example:8443=two")
    assert key_for("https://judge.example/v1") == key_for("https://JUDGE.example:443/v1") == "one"
    assert key_for("https://judge.example:8443/v1") == "two"
    assert key_for("https://judge.example.net/v1") is None


def test_a_key_that_names_no_server_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_models.remote.client import key_for

    monkeypatch.setenv("HARNESS_API_KEY", KEY)
    with pytest.raises(InputError, match=r"set HARNESS_API_KEYS=a\.example=KEY instead"):
        key_for("https://a.example/v1")
    monkeypatch.setenv("HARNESS_API_KEYS", KEY)
    with pytest.raises(InputError, match="is not host=KEY") as caught:
        key_for("https://a.example/v1")
    assert KEY not in str(caught.value)


def test_without_a_key_none_is_sent(server: Server) -> None:
    model, candidate = make_remote(server.url)
    ask(model, candidate, generates("hi"))
    assert "authorization" not in server.headers[0]


def test_a_server_that_wants_the_newer_name_gets_it(server: Server) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if "max_tokens" in body:
            return 400, {}, {"error": {"message": "Unsupported: 'max_tokens'. Use 'max_completion_tokens' instead."}}
        return said("ok")

    server.answer = answer
    model, candidate = make_remote(server.url)
    assert isinstance(ask(model, candidate, generates("hi"))[0], Completion)
    ask(model, candidate, generates("again"))
    assert len(server.bodies) == 3
    assert server.bodies[-1]["max_completion_tokens"] == 8


def test_offline_opens_no_socket(server: Server) -> None:
    model, candidate = make_remote(server.url, offline=True)
    model.fingerprint(candidate)
    with pytest.raises(InputError, match="offline"):
        ask(model, candidate, generates("hi"))
    assert server.bodies == []


def test_what_a_server_cannot_take_is_refused(server: Server) -> None:
    model, candidate = make_remote(server.url)
    adapter = AdapterSpec(id="0" * 16, path="/a", reference="mine")
    with pytest.raises(InputError, match="adapter mine"):
        model.fingerprint(Candidate(model=candidate.model, adapters=(adapter,)))
    with pytest.raises(InputError, match="template"):
        model.fingerprint(Candidate(model=candidate.model, template="{{ messages }}"))


def test_the_fingerprint_names_server_model_and_day(server: Server) -> None:
    model, candidate = make_remote(server.url)
    found = model.fingerprint(candidate)
    assert found["endpoint"] == server.url
    assert "tiny" in found["base"]
    assert len(found["day"]) == 10
    assert not model.verifiable


def test_the_environments_proxy_is_used_and_told_no_key_in_the_clear(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://somewhere.example/v1")
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    model, candidate = make_remote("http://somewhere.example/v1")
    (reply,) = ask(model, candidate, generates("hi"))
    assert isinstance(reply, Completion)
    assert server.headers[0]["path"] == "http://somewhere.example/v1/chat/completions"
    assert "authorization" not in server.headers[0]


def test_no_proxy_stands_between_us_and_this_machine_or_what_is_excepted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_models.remote.client import _proxy_for

    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3129")
    monkeypatch.setenv("no_proxy", "internal.example")
    assert _proxy_for("http://127.0.0.1:8000/v1") is None
    assert _proxy_for("http://vllm.internal.example/v1") is None
    assert _proxy_for("http://somewhere.example/v1") == "http://proxy.example:3128"
    assert _proxy_for("https://somewhere.example/v1") == "http://proxy.example:3129"
    model, candidate = make_remote(server.url)
    assert isinstance(ask(model, candidate, generates("hi"))[0], Completion)


def test_what_stands_in_netrc_is_sent_to_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    model, candidate = make_remote(server.url)
    ask(model, candidate, generates("hi"))
    assert "authorization" not in server.headers[0]


def test_a_reply_that_unpacks_to_far_more_is_cut_off(server: Server) -> None:
    packed = gzip.compress(b" " * (40 * 2**20))
    server.answer = lambda body: (200, {"content-encoding": "gzip"}, packed)
    model, candidate = make_remote(server.url)
    assert "larger than 16 MiB" in reasons(ask(model, candidate, generates("hi")))[0]


@pytest.mark.parametrize("headers", [{"content-encoding": "gzip"}, {"content-type": "text/html; charset=no-such"}])
def test_an_answer_that_cannot_be_decoded_is_no_reply(server: Server, headers: dict[str, str]) -> None:
    server.answer = lambda body: (200, headers, b"this is \xff not what it says")
    model, candidate = make_remote(server.url)
    assert len(reasons(ask(model, candidate, generates("hi")))) == 1

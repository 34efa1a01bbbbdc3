"""What job and browser see of each other."""

import pytest

from corral.proxy.addresses import Place, Translator, login_in, place_at, place_of
from corral.proxy.messages import Answer, Headers, Request, answer_of, request_of

ORIGIN = b"https://head:8443"


def place(target: bytes = b"/proxy/42/8888/") -> Place:
    found = place_of(target)
    assert found is not None
    return found


def inward(headers: Headers, target: bytes = b"/proxy/42/8888/lab?x=1", keeps: bool = True) -> Request:
    translator = Translator(place(target), ORIGIN, b"10.0.0.1")
    return request_of(translator.request(Request(b"GET", target, 1, headers), keeps_authorization=keeps)[:-4])


def outward(
    *headers: tuple[bytes, bytes], target: bytes = b"/proxy/42/8888/lab", line: bytes = b"HTTP/1.1 200 OK"
) -> Headers:
    translator = Translator(place(target), ORIGIN, b"10.0.0.1")
    answer = Answer(int(line.split()[1]), line, 1, list(headers))
    return answer_of(translator.answer(answer, closes=False)[:-4]).headers


def test_places() -> None:
    found = place(b"/proxy/42@n1/8888/a/b?c")
    assert (found.job, found.node, found.port, found.rest, found.is_absolute) == (42, "n1", 8888, b"/a/b?c", False)
    assert place(b"/proxy/absolute/42/8888/x").inner == b"/proxy/absolute/42/8888/x"
    assert place(b"/proxy/42/8888").rest == b""
    assert place(b"/proxy/42/8888?a=b").rest == b"/?a=b"


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/proxy/",
        b"/proxy/x/80/",
        b"/proxy/42/0/",
        b"/proxy/42/65536/",
        b"/proxy/42/80x/",
        b"/proxy/42@/80/",
        b"*",
    ],
)
def test_what_is_no_place(target: bytes) -> None:
    assert place_of(target) is None


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (b"42-8888.proxy.example.org", (42, 8888, "")),
        (b"42-8888.Proxy.example.org:8443", (42, 8888, "")),
        (b"42-80-dgx-1.proxy.example.org", (42, 80, "dgx-1")),
        (b"42-65536.proxy.example.org", None),
        (b"42-0.proxy.example.org", None),
        (b"042-80.proxy.example.org", None),
        (b"42-80-.proxy.example.org", None),
        (b"a.42-80.proxy.example.org", None),
        (b"42-80.evil.org", None),
        (b"proxy.example.org", None),
        (b"42-80", None),
    ],
)
def test_a_port_has_a_host_name_of_its_own(host: bytes, found: tuple[int, int, str] | None) -> None:
    place = place_at(host, b"/lab?x=1", "proxy.example.org")
    assert (place and (place.job, place.port, place.node)) == found
    if place is not None:
        assert (place.prefix, place.inner, place.rest) == (b"", b"/lab?x=1", b"/lab?x=1")
    assert place_at(host, b"/", "") is None


def test_cookies_stay_with_a_ports_own_host() -> None:
    place = place_at(b"42-80.localhost", b"/", "localhost")
    assert place is not None
    translator = Translator(place, b"http://42-80.localhost:9", b"::1")
    answer = Answer(200, b"HTTP/1.1 200 OK", 1, [(b"Set-Cookie", b"a=b; Domain=localhost; Path=/x; Secure")])
    assert b"\r\nSet-Cookie: a=b; Secure; Path=/x\r\n" in translator.answer(answer, closes=False)
    assert b"X-Forwarded-Prefix" not in translator.request(Request(b"GET", b"/", 1, []), keeps_authorization=True)


def test_a_login_is_taken_out_of_the_address() -> None:
    assert login_in(place(b"/proxy/42/80/a?b=1&corral_login=secret&c")) == (b"secret", b"/a?b=1&c")
    assert login_in(place(b"/proxy/42/80/a?corral_login=secret")) == (b"secret", b"/a")
    assert login_in(place(b"/proxy/42/80/a?b")) == (b"", b"/a?b")


def test_a_job_sees_a_request_to_itself() -> None:
    request = inward(
        [
            (b"Host", b"head:8443"), (b"Origin", ORIGIN), (b"Referer", ORIGIN + b"/proxy/42/8888/tree?x"), (b"Accept", b"*/*"),
            (b"X-Forwarded-For", b"made up"), (b"Connection", b"keep-alive, x-hop"), (b"X-Hop", b"1"),
        ]
    )  # fmt: skip
    assert request.target == b"/lab?x=1"
    assert request.headers == [
        (b"Host", b"localhost:8888"), (b"Origin", b"http://localhost:8888"), (b"Referer", b"http://localhost:8888/tree?x"),
        (b"Accept", b"*/*"), (b"X-Forwarded-For", b"10.0.0.1"), (b"X-Forwarded-Host", b"head:8443"),
        (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Prefix", b"/proxy/42/8888"), (b"Connection", b"close"),
    ]  # fmt: skip


def test_pages_from_elsewhere_stay_so() -> None:
    headers = dict(inward([(b"Origin", b"https://evil.example"), (b"Referer", b"https://head:84439/x")]).headers)
    assert (headers[b"Origin"], headers[b"Referer"]) == (b"https://evil.example", b"https://head:84439/x")


def test_no_login_of_any_job_and_no_token_reaches_the_job() -> None:
    cookies = b"corral-proxy-42-8888=secret; _xsrf=2|x; corral-proxy-43-80=other"
    carried = [(b"Cookie", cookies), (b"X-Corral-Token", b"corral1.x"), (b"Authorization", b"Bearer corral1.x")]
    headers = dict(inward(carried, keeps=False).headers)
    assert headers[b"Cookie"] == b"_xsrf=2|x"
    assert not any(b"corral1" in value or b"secret" in value for value in headers.values())
    assert dict(inward([(b"Authorization", b"token jupyter")]).headers)[b"Authorization"] == b"token jupyter"


def test_an_upgrade_is_passed_on() -> None:
    headers = dict(
        inward([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"k")]).headers
    )
    assert (headers[b"Connection"], headers[b"Upgrade"], headers[b"Sec-WebSocket-Key"]) == (
        b"Upgrade",
        b"websocket",
        b"k",
    )
    switched = outward(
        (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), line=b"HTTP/1.1 101 Switching Protocols"
    )
    assert switched == [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"/lab", b"/proxy/42/8888/lab"), (b"http://localhost:8888/lab", b"/proxy/42/8888/lab"),
        (b"http://127.0.0.1:8888", b"/proxy/42/8888/"), (b"https://head:8443/a", b"/proxy/42/8888/a"), (b"next", b"next"),
        (b"https://elsewhere/a", b"https://elsewhere/a"), (b"//elsewhere/a", b"//elsewhere/a"),
        (b"http://localhost:88889/a", b"http://localhost:88889/a"), (b"/proxy/42/8888/x", b"/proxy/42/8888/x"),
    ],
)  # fmt: skip
def test_where_a_redirect_leads(said: bytes, seen: bytes) -> None:
    assert dict(outward((b"Location", said)))[b"Location"] == seen


def test_a_whole_path_stays() -> None:
    target = b"/proxy/absolute/42/8888/lab"
    assert (
        dict(outward((b"Location", b"/proxy/absolute/42/8888/x"), target=target))[b"Location"]
        == b"/proxy/absolute/42/8888/x"
    )
    assert inward([], target=target).target == target


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"a=b; Path=/; HttpOnly", b"a=b; HttpOnly; Path=/proxy/42/8888/"), (b"a=b", b"a=b; Path=/proxy/42/8888/"),
        (b"a=b; domain=head; path=/lab", b"a=b; Path=/proxy/42/8888/lab"),
        (b"a=b; Path=/proxy/42/8888/x", b"a=b; Path=/proxy/42/8888/x"),
    ],
)  # fmt: skip
def test_a_jobs_cookies_stay_with_its_port(said: bytes, seen: bytes) -> None:
    assert dict(outward((b"Set-Cookie", said)))[b"Set-Cookie"] == seen


def test_a_job_cannot_set_a_login() -> None:
    assert b"Set-Cookie" not in dict(outward((b"Set-Cookie", b"corral-proxy-43-80=x; Path=/")))

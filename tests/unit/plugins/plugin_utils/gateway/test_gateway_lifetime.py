"""How long a certificate is good for, from HAProxy's own words."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lifetime

NOW = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.timezone.utc)
# `show ssl cert` of HAProxy 2.6.
ANSWER = """Filename: /etc/haproxy/vllm/tls.pem
Status: Used
Serial: 5A3B
notBefore: Nov 29 11:12:13 2026 GMT
notAfter: Dec  8 11:12:13 2026 GMT
Subject Alternative Name:
Algorithm: EC256
SHA1 FingerPrint: 00
Subject: /CN=door
Issuer: /CN=door

"""


@pytest.mark.parametrize(
    ("answer", "days"),
    [
        (ANSWER, 9 - 2867 / 86400),
        (ANSWER.replace("Dec  8", "Nov 19"), -10 - 2867 / 86400),
        (ANSWER.replace("Dec  8 11:12:13", "Nov 29 13:00:00"), 1 / 24),
    ],
)
def test_the_days_that_are_left(answer: str, days: float) -> None:
    found = lifetime.lifetime("/etc/haproxy/vllm/tls.pem", answer, NOW)
    assert found["days"] == pytest.approx(days, abs=1e-2)


@pytest.mark.parametrize(
    "answer", ["", "Can't find the certificate\n", ANSWER.replace("Dec  8", "Foo  8"), "notAfter: soon\n"]
)
def test_what_says_nothing_is_nothing(answer: str) -> None:
    assert lifetime.lifetime("/x.pem", answer, NOW) == {}


def test_the_path_is_that_of_the_configuration() -> None:
    text = "frontend door\n    bind *:443 ssl crt /etc/haproxy/vllm/tls.pem alpn http/1.1\n"
    assert lifetime.loaded_path(text) == "/etc/haproxy/vllm/tls.pem"
    assert lifetime.loaded_path("frontend door\n    bind *:80\n# bind x ssl crt y\n") == ""

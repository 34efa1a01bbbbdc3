"""What may things be called in Kubernetes: objects, labels, ports, variables, keys? Each answers with what is wrong, or ""."""

from __future__ import annotations

import re

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VARIABLE = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = re.compile(r"[0-9]{1,9}%")


def label(name: str) -> str:
    """As containers, volumes and namespaces are called."""
    return _of(
        name, _LABEL, 63,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
        "alphanumeric character (e.g. 'my-name', or '123-abc')",
    )  # fmt: skip


def subdomain(name: str, most: int = 253) -> str:
    """As most objects are called."""
    return _of(
        name, _SUBDOMAIN, most,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
        "alphanumeric character (e.g. 'example.com')",
    )  # fmt: skip


def label_1035(name: str) -> str:
    """As services are called."""
    return _of(
        name, _LABEL_1035, 63,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with "
        "an alphanumeric character (e.g. 'my-name', or 'abc-123')",
    )  # fmt: skip


def label_key(name: str) -> str:
    """app, example.com/app"""
    prefix, slash, rest = name.rpartition("/")
    if slash:
        if not prefix:
            return "prefix part must be non-empty"
        if why := subdomain(prefix):
            return f"prefix part {why}"
    return _of(
        rest, _QUALIFIED, 63,
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
        "(e.g. 'MyName', or 'my.name', or '123-abc')",
    )  # fmt: skip


def label_value(value: str) -> str:
    if not value:
        return ""
    return _of(
        value, _QUALIFIED, 63,
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        "alphanumeric character (e.g. 'MyValue', or 'my_value', or '12345')",
    )  # fmt: skip


def port_name(name: str) -> str:
    """As a container's ports are called."""
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not re.fullmatch("[-a-z0-9]+", name):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        return "must contain at least one letter (a-z)"
    if "--" in name:
        return "must not contain consecutive hyphens"
    return "must not begin or end with a hyphen" if name[0] == "-" or name[-1] == "-" else ""


def port(number: int) -> str:
    return "" if 1 <= number <= 65535 else "must be between 1 and 65535, inclusive"


def variable(name: str) -> str:
    """Of the environment."""
    if name in (".", ".."):
        return f"must not be '{name}'"
    return _of(
        name, _VARIABLE, 4096,
        "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a "
        "digit (e.g. 'my.env-name', or 'MY_ENV.NAME', or 'MyEnvName1')",
    )  # fmt: skip


def config_key(name: str) -> str:
    """Of a ConfigMap or a Secret."""
    if name in (".", ".."):
        return f"must not be '{name}'"
    return _of(
        name, _KEY, 253,
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', or 'KEY_NAME', or 'key-name')",
    )  # fmt: skip


def is_percent(value: str) -> bool:
    return _PERCENT.fullmatch(value) is not None


def _of(name: str, pattern: str, most: int, why: str) -> str:
    if not re.fullmatch(pattern, name):
        return why if name else f"must not be empty; {why}"
    return f"must be no more than {most} bytes" if len(name) > most else ""

"""What scripts/property asks of the admin API beyond its OpenAPI document.

Every operation may answer 500 by that document, since something may always break. Here nothing does, so 500 is a fault, but
where clients of the original expect it for what they asked wrongly. And most ids that are made up name nothing: half of
them are replaced by those of what the script has put there.
"""

import os
import re
import zlib

import schemathesis

INSECURE = r"Failed to create key, ensure security settings are correct\."

# Where 500 is what clients expect, and with which words (contract 7.3).
GIVEN = [
    ("DELETE", r"/tyk/(apis|apis/oas|mcps|policies)/\{id\}", r"Delete failed"),
    ("POST", r"/tyk/keys(/\{key\})?", INSECURE),
    ("POST", r"/tyk/keys/create", r"Unmarshalling failed|Failed to create key - .*"),
    ("POST", r"/tyk/keys/preview", r"Unmarshalling failed"),
    ("POST", r"/tyk/keys/policy/\{hash\}", r"Could not write key data"),
    ("PUT", r"/tyk/keys/\{key\}", INSECURE),
    ("POST", r"/tyk/policies", r"Failed to create file!"),
    ("PUT", r"/tyk/policies/\{id\}", r"Failed to create file!"),
    ("POST", r"/tyk/oauth/clients/create", r"Unmarshalling failed"),
    ("PUT", r"/tyk/oauth/clients/\{api\}/\{client\}", r"Unmarshalling failed"),
]

# What is there, by the path in which it is named.
THERE = [
    (r"/tyk/apis/oas/", {"id": "seeded-open"}),
    (r"/tyk/(apis|policies)/", {"id": "seeded"}),
    (r"/tyk/keys/policy/", {"hash": os.environ.get("PROPERTY_KEY_HASH", "")}),
    (r"/tyk/keys/", {"key": os.environ.get("PROPERTY_KEY", "")}),
    (r"/tyk/org/keys/", {"org": "org"}),
    (r"/tyk/(oauth|cache)/", {"api": "seeded", "client": "seeded"}),
]

NAMES = {name for _, names in THERE for name in names.values() if name}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Names what is there, every other time, and never to delete it, so that it stays."""
    method, path, given = case.operation.method.upper(), case.operation.path, case.path_parameters
    there = next((names for at, names in THERE if re.match(at, path)), {})
    if method == "DELETE":
        for name, value in given.items():
            given[name] = "gone" if value in NAMES else value
    elif zlib.crc32(repr(sorted(given.items())).encode()) % 2 == 0:
        for name, value in given.items():
            given[name] = there.get(name) or value


@schemathesis.check
def expected_server_errors(context, response, case):
    """500 where it is expected, and no other status of its sort anywhere."""
    if response.status_code < 500:
        return
    method, path = case.operation.method.upper(), case.operation.path
    try:
        told = response.json().get("message", "")
    except ValueError:
        told = ""
    for given_method, given_path, words in GIVEN:
        if method == given_method and re.fullmatch(given_path, path) and response.status_code == 500:
            if re.fullmatch(words, told, re.DOTALL):
                return
    raise AssertionError(f"{response.status_code} is no answer to {method} {path}: {told}")

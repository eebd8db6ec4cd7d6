# Three hooks in Python, as bundles for the original have them. Pack them with `sluicegate plugin bundle examples/plugins/python`.
import json
import os

from tyk.decorators import *
from gateway import TykGateway as tyk

from names import greeting


# In the place of authentication: who names a friend gets a session.
@Hook
def AuthHook(request, session, metadata, spec):
    name = request.get_header("Authorization")
    if name is None or not name.startswith("friend-"):
        request.object.return_overrides.response_code = 401
        request.object.return_overrides.response_error = "friends only"
        return request, session, metadata
    session.rate = 100
    session.per = 1
    session.alias = name[len("friend-"):]
    metadata["token"] = name
    return request, session, metadata


# Right before the backend: a header and another body.
@Hook
def PostHook(request, session, spec):
    config = json.loads(spec["config_data"])
    tyk.log("a request of " + session.alias, "info")
    request.object.set_headers["X-Greeting"] = greeting(session.alias, config.get("region", "nowhere"))
    if request.object.body:
        request.object.body = json.dumps({"from": session.alias, "said": request.object.body})
    return request, session


# On the answer: which process changed it, and no word of the server.
@Hook
def ResponseHook(request, response, session, metadata, spec):
    response.headers["X-Process"] = str(os.getpid())
    response.headers.pop("Server", None)
    return response

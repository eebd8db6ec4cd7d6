from tyk.decorators import *
from gateway import TykGateway as tyk


# Called before the request goes on: change it, or answer in its place.
@Hook
def NAME(request, session, spec):
    tyk.log("called with " + request.object.url, "info")
    request.object.set_headers["X-Hello"] = "from NAME"
    return request, session

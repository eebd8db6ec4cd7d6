# Runs plugins in Python for the gate, over one socket. Nothing beyond the standard library is needed.
#
# A frame is a letter, three lengths, a JSON text and two byte strings (bodies). The gate sends L (load), C (call) and E (edit
# a record), and waits for O (outcome) or F (fault); in between the runner may send G (a line for the log) and S (store or look up, which the
# gate answers with R). What plugins see has the names and shapes of the coprocess protocol.
import importlib.util
import inspect
import json
import os
import select
import struct
import sys
import threading
import traceback
import types

HEAD = struct.Struct(">cIII")
LONGEST_LINE = 8000

# The socket is stdin; programs that plugins start, and what they print themselves, must not get into it.
SOCKET = os.dup(0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
SENDING = threading.Lock()


def end_with_the_gate():
    """Ends this process when the gate is gone, whatever a plugin is doing."""
    poll = select.poll()
    poll.register(SOCKET, 0)
    poll.poll()
    os._exit(0)


def read(length):
    parts = []
    while length:
        part = os.read(SOCKET, length)
        if not part:
            os._exit(0)
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def receive():
    kind, text, first, second = HEAD.unpack(read(HEAD.size))
    return kind, json.loads(read(text) or b"null"), read(first), read(second)


def send(kind, value, first=b"", second=b""):
    text = json.dumps(value, default=plain).encode()
    frame = HEAD.pack(kind, len(text), len(first), len(second)) + text + first + second
    with SENDING:
        view = memoryview(frame)
        while view:
            view = view[os.write(SOCKET, view):]


def ask(question):
    """Asks the gate during a call, and gives its answer."""
    # The main thread reads the same socket: two readers would take each other's frames.
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("data of plugins can be asked for only by the thread that runs the hook")
    send(b"S", question)
    return receive()[1]


def plain(value):
    if isinstance(value, Message):
        return value.__dict__
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


class Log:
    """Standard output and standard error: each line goes to the gate's log."""

    encoding = "utf-8"

    def __init__(self):
        self.rest = ""

    def write(self, text):
        lines = (self.rest + text).split("\n")
        self.rest = lines.pop()[-LONGEST_LINE:]
        for line in lines:
            log(line)
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


def log(line):
    send(b"G", {"line": str(line)[:LONGEST_LINE]})


class Message:
    """A message of the protocol: its fields are attributes."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def CopyFrom(self, other):
        self.__dict__.update(other.__dict__)

    def __repr__(self):
        return repr(self.__dict__)


class Several(list):
    """Repeated messages."""

    def add(self, **fields):
        self.append(Message(**fields))
        return self[-1]


class Rights(dict):
    """Rights by API; one that is not there is made when it is looked at."""

    def __missing__(self, api):
        self[api] = Message(api_name="", api_id="", versions=[], allowed_urls=Several())
        return self[api]


class Request:
    """A request as hooks get it: the message is in `object`, its fields can be had directly, too."""

    def __init__(self, message):
        self.__dict__["object"] = message

    def __getattr__(self, name):
        return getattr(self.object, name)

    def __setattr__(self, name, value):
        setattr(self.object, name, value)

    def get_header(self, name):
        found = self.object.headers.get(name)
        if found is None:
            lower = name.lower()
            found = next((v for n, v in self.object.headers.items() if n.lower() == lower), None)
        return found

    def add_header(self, name, value):
        self.object.set_headers[name] = value

    set_header = add_header

    def delete_header(self, name):
        self.object.delete_headers.append(name)

    def get_param(self, name):
        return self.object.params.get(name)

    def add_param(self, name, value):
        self.object.add_params[name] = value

    def delete_param(self, name):
        self.object.delete_params.append(name)

    def set_body(self, body):
        if isinstance(body, bytes):
            self.object.raw_body = body
        else:
            self.object.body = body


HOOKS = {}


class Hook:
    """A decorator: what it marks is called by its name."""

    def __init__(self, handler):
        self.handler = handler
        self.name = handler.__name__
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(handler).parameters.values()
        self.arguments = sum(parameter.kind in kinds for parameter in parameters)
        HOOKS[self.name] = self

    def __call__(self, *arguments):
        return self.handler(*arguments)


def event(handler):
    return handler


class TykGateway:
    """What plugins ask of the gate."""

    @staticmethod
    def log(message, level="info"):
        log(message if level in ("info", None) else "%s: %s" % (level, message))

    @staticmethod
    def log_error(message):
        log("error: %s" % message)

    @staticmethod
    def store_data(key, value, ttl=0):
        ask({"do": "store", "name": str(key), "text": str(value), "seconds": int(ttl or 0)})

    @staticmethod
    def get_data(key):
        return ask({"do": "stored", "name": str(key)})

    @staticmethod
    def trigger_event(name, payload):
        ask({"do": "trigger", "name": str(name), "text": str(payload)})


def offer():
    """Makes the modules that plugins import from the gate."""
    package = types.ModuleType("tyk")
    package.__path__ = []
    decorators = types.ModuleType("tyk.decorators")
    for name in ("Hook", "Pre", "Post", "PostKeyAuth", "CustomKeyCheck"):
        setattr(decorators, name, Hook)
    decorators.Event = event
    decorators.__all__ = ["Hook", "Pre", "Post", "PostKeyAuth", "CustomKeyCheck", "Event"]
    requests = types.ModuleType("tyk.request")
    requests.TykCoProcessRequest = Request
    gateway = types.ModuleType("gateway")
    gateway.TykGateway = TykGateway
    gateway.tyk = TykGateway
    package.decorators, package.request, package.gateway = decorators, requests, gateway
    for module in (package, decorators, requests, gateway):
        sys.modules[module.__name__] = module
    sys.modules["tyk.gateway"] = gateway


def load(asked):
    sys.dont_write_bytecode = True
    places = list(asked["paths"])
    version = "python%d.%d" % sys.version_info[:2]
    places += [os.path.join(place, "vendor", "lib", version, "site-packages") for place in asked["paths"]]
    places += [os.path.join(place, "vendor") for place in asked["paths"]]
    sys.path[:0] = places
    offer()
    for module in asked["modules"]:
        name, path = module["name"], module["file"]
        known = sys.modules.get(name)
        if known is not None and path and getattr(known, "__file__", None) == path:
            made = known
        elif module.get("text") is not None:
            made = types.ModuleType(name)
            made.__file__ = path
            sys.modules[name] = made
            exec(compile(module["text"], path, "exec"), made.__dict__)
        else:
            spec = importlib.util.spec_from_file_location(name, path)
            made = importlib.util.module_from_spec(spec)
            sys.modules[name] = made
            spec.loader.exec_module(made)
        # A function that is not decorated can be called by its name, too.
        for called in asked["hooks"]:
            found = getattr(made, called, None)
            if called not in HOOKS and callable(found):
                HOOKS[called] = Hook(found)
    return [name for name in asked["hooks"] if name in HOOKS]


def request_of(fields, body, raw_only):
    fields["return_overrides"] = Message(**(fields["return_overrides"] or {}))
    fields["raw_body"] = body
    fields["body"] = "" if raw_only else body.decode("utf-8", "replace")
    return Message(**fields)


def session_of(fields):
    for name in ("basic_auth_data", "jwt_data", "monitor"):
        fields[name] = Message(**(fields[name] or {}))
    rights = Rights()
    for api, right in fields["access_rights"].items():
        right["allowed_urls"] = Several(Message(**url) for url in right["allowed_urls"])
        rights[api] = Message(**right)
    fields["access_rights"] = rights
    return Message(**fields)


def response_of(fields, body, raw_only):
    fields["multivalue_headers"] = Several(Message(**header) for header in fields["multivalue_headers"])
    fields["raw_body"] = body
    fields["body"] = "" if raw_only else body.decode("utf-8", "replace")
    return Message(**fields)


def texts(values):
    """The protocol has texts; numbers and structures are written as such."""
    def text(value):
        if isinstance(value, str):
            return value
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, (dict, list)):
            return json.dumps(value)
        return str(value)

    return {str(name): text(value) for name, value in values.items()}


def unpacked(message):
    """The bytes of a body; the text is left only where it says something else."""
    raw = message.__dict__.pop("raw_body", b"")
    if isinstance(raw, str):
        raw = raw.encode()
    if isinstance(message.body, (bytes, bytearray)):
        raw, message.body = bytes(message.body), ""
    return bytes(raw)


def call(asked, body, answer_body):
    given, raw_only = asked["object"], asked["raw"]
    hook = HOOKS[given["hook_name"]]
    message = request_of(given["request"], body, raw_only)
    text_before = message.body
    request, session = Request(message), session_of(given["session"])
    metadata, spec = given["metadata"], given["spec"]
    response = given["response"] and response_of(given["response"], answer_body, raw_only)
    answer_before = response.body if response else ""

    if hook.arguments >= 5:
        made = hook(request, response, session, metadata, spec)
        if response is not None and made is not None:
            response = made[0] if isinstance(made, tuple) else made
    else:
        if hook.arguments == 4:
            made = hook(request, session, metadata, spec)
        else:
            made = hook(*(request, session, spec)[: hook.arguments])
        if made is not None:
            made = made if isinstance(made, tuple) else (made,)
            request = made[0] or request
            session = made[1] if len(made) > 1 and made[1] is not None else session
            metadata = made[2] if len(made) > 2 and made[2] is not None else metadata

    message = request.object if isinstance(request, Request) else request
    raw = unpacked(message)
    if message.body == text_before:
        message.body = ""
    for name in ("headers", "set_headers", "params", "add_params", "extended_params"):
        setattr(message, name, texts(getattr(message, name)))
    overrides = message.return_overrides
    overrides.headers = texts(overrides.headers)
    session.metadata = texts(session.metadata)
    answer_raw = b""
    if response is not None:
        answer_raw = unpacked(response)
        if response.body == answer_before:
            response.body = ""
        response.headers = texts(response.headers)
    outcome = {"request": message, "session": session, "metadata": texts(metadata), "response": response}
    send(b"O", outcome, raw, answer_raw)


def edit(asked):
    """Has a function edit a record: its fields are attributes, as those of requests are."""
    record = asked["record"]
    record["latency"] = Message(**record["latency"])
    record = Message(**record)
    hook = HOOKS[asked["hook_name"]]
    made = hook(*(record, asked["spec"])[: hook.arguments])
    send(b"O", record if made is None else made)


def told(error):
    """An error, and where in a plugin it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != RUNNER]
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    if isinstance(error, SyntaxError) and error.filename:
        text += " (%s:%s)" % (os.path.basename(error.filename), error.lineno)
    elif frames:
        text += " (%s:%s)" % (os.path.basename(frames[-1].filename), frames[-1].lineno)
    return text


RUNNER = "<sluicegate>"


def main():
    sys.stdout = sys.stderr = Log()
    threading.Thread(target=end_with_the_gate, daemon=True).start()
    while True:
        kind, asked, body, answer_body = receive()
        try:
            if kind == b"L":
                send(b"O", {"found": load(asked)})
            elif kind == b"E":
                edit(asked)
            else:
                call(asked, body, answer_body)
        except BaseException as error:
            send(b"F", {"text": told(error)})


main()

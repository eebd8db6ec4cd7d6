"""An MCP server by the SDK of the protocol's authors, over Streamable HTTP: answers as JSON (`json`), as events (`sse`), or as
events within sessions (`stateful`). With `client` a client of the same SDK, which tells as JSON what it sees."""

import asyncio
import json
import os
import sys
import threading

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.responses import JSONResponse

server = MCPServer("sample")
# What came in, in its order: the method and what it was called for, or the method of HTTP.
seen = []


@server.tool()
def get_users() -> str:
    return "Ada, Bob"


@server.tool()
def get_posts() -> str:
    return "one, two"


@server.tool()
def echo(text: str) -> str:
    return text


@server.tool()
def admin_reset() -> str:
    return "all gone"


@server.resource("weather://stations/london")
def london() -> str:
    return "rain"


@server.resource("weather://stations/paris")
def paris() -> str:
    return "sun"


@server.resource("internal://secret")
def secret() -> str:
    return "42"


@server.resource("internal://files/{name}")
def file(name: str) -> str:
    return name


@server.prompt()
def summary() -> str:
    return "Sum up."


@server.prompt()
def alert() -> str:
    return "Alert!"


@server.custom_route("/seen", methods=["GET"])
async def told(request):
    return JSONResponse(seen)


class Watched:
    """Notes what comes in, with the header fields that tests look at, and hands it on."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] == "/seen":
            return await self.app(scope, receive, send)
        body = b""
        messages = []
        while True:
            message = await receive()
            messages.append(message)
            body += message.get("body", b"")
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        try:
            call = json.loads(body)
            params = call.get("params") or {}
            note = {"method": call.get("method"), "name": params.get("name") or params.get("uri")}
        except ValueError:
            note = {"method": scope["method"], "name": None}
        fields = {name.decode(): value.decode() for name, value in scope["headers"]}
        note["fields"] = {name: value for name, value in fields.items() if name.startswith("x-")}
        seen.append(note)
        left = iter(messages)

        async def again():
            message = next(left, None)
            return message if message is not None else await receive()

        await self.app(scope, again, send)


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def client(url, key, tools):
    import httpx2
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(headers={"authorization": key}, timeout=20) as http,
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        told = await session.initialize()
        out = {"capabilities": told.capabilities.model_dump(exclude_none=True)}
        listed = (await session.list_tools()).tools
        out["tools"] = [tool.name for tool in listed]
        out["listed"] = [plain(tool) for tool in listed]
        if told.capabilities.resources:
            out["resources"] = [str(one.uri) for one in (await session.list_resources()).resources]
        if told.capabilities.prompts:
            out["prompts"] = [one.name for one in (await session.list_prompts()).prompts]
        out["calls"], out["results"] = {}, []
        for tool in tools:
            # With arguments: name={...}
            name, _, arguments = tool.partition("=")
            try:
                answer = await session.call_tool(name, json.loads(arguments or "{}"))
                out["calls"][name] = answer.content[0].text
                out["results"].append(plain(answer))
            except Exception as error:
                out["calls"][name] = f"error: {error}"
                out["results"].append(f"error: {error}")
        print(json.dumps(out))


async def serve(mode):
    app = server.streamable_http_app(json_response=mode == "json", stateless_http=mode != "stateful")
    served = uvicorn.Server(uvicorn.Config(Watched(app), host="127.0.0.1", port=0, log_level="warning"))
    running = asyncio.create_task(served.serve())
    while not served.started:
        if running.done():
            running.result()
        await asyncio.sleep(0.01)
    print(served.servers[0].sockets[0].getsockname()[1], flush=True)
    await running


def until_closed():
    sys.stdin.buffer.read()
    os._exit(0)


if sys.argv[1] == "client":
    asyncio.run(client(sys.argv[2], sys.argv[3], sys.argv[4:]))
else:
    threading.Thread(target=until_closed, daemon=True).start()
    asyncio.run(serve(sys.argv[1]))

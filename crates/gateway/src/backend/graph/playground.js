"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const api = document.currentScript.dataset.api;
  let socket = null;

  const json = (id) => {
    const text = element(id).value.trim();
    return text === "" ? {} : JSON.parse(text);
  };
  const show = (value) => { element("answer").textContent = typeof value === "string" ? value : JSON.stringify(value, null, 2); };
  const state = (text) => { element("state").textContent = text; };

  const ask = async (query, variables) => {
    const headers = { "content-type": "application/json", ...json("headers") };
    const answer = await fetch(api, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
    const text = await answer.text();
    try { return [answer.status, JSON.parse(text)]; } catch { return [answer.status, text]; }
  };

  const stop = () => {
    if (socket) socket.close(1000);
    socket = null;
    element("stop").hidden = true;
  };

  const subscribe = (query, variables) => {
    stop();
    const address = new URL(api, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const events = [];
    socket = new WebSocket(address, "graphql-transport-ws");
    element("stop").hidden = false;
    socket.onopen = () => socket.send(JSON.stringify({ type: "connection_init", payload: json("headers") }));
    socket.onclose = (event) => { state(`closed: ${event.code} ${event.reason}`); element("stop").hidden = true; };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "connection_ack") socket.send(JSON.stringify({ id: "1", type: "subscribe", payload: { query, variables } }));
      if (message.type === "ping") socket.send(JSON.stringify({ type: "pong" }));
      if (message.type === "next" || message.type === "error") { events.unshift(message.payload); events.length = Math.min(events.length, 100); show(events); }
      if (message.type === "complete") stop();
    };
  };

  const run = async () => {
    try {
      const [query, variables] = [element("query").value, json("variables")];
      if (/^\s*subscription\b/.test(query)) return subscribe(query, variables);
      const begun = performance.now();
      const [status, answer] = await ask(query, variables);
      show(answer);
      state(`${status}, ${Math.round(performance.now() - begun)} ms`);
    } catch (error) { show(String(error)); }
  };

  const name = (type) => type.kind === "NON_NULL" ? name(type.ofType) + "!" : type.kind === "LIST" ? `[${name(type.ofType)}]` : type.name;
  const describe = async () => {
    const type = "kind name ofType { kind name ofType { kind name ofType { kind name } } }";
    const [, answer] = await ask(`{ __schema { types { kind name fields { name args { name type { ${type} } } type { ${type} } } enumValues { name } inputFields { name type { ${type} } } } } }`, {});
    const types = answer?.data?.__schema?.types;
    if (!types) { element("types").textContent = answer?.error || answer?.errors?.[0]?.message || "not told"; return; }
    const lines = [];
    for (const one of types.filter((one) => !one.name.startsWith("__") && one.kind !== "SCALAR")) {
      lines.push(`${one.kind.toLowerCase()} ${one.name}`);
      for (const field of one.fields || one.inputFields || one.enumValues || []) {
        const args = field.args?.length ? `(${field.args.map((arg) => `${arg.name}: ${name(arg.type)}`).join(", ")})` : "";
        lines.push(`  ${field.name}${args}${field.type ? ": " + name(field.type) : ""}`);
      }
      lines.push("");
    }
    element("types").textContent = lines.join("\n");
  };

  element("run").onclick = run;
  element("stop").onclick = stop;
  document.onkeydown = (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(); };
  element("headers").onchange = () => describe().catch(() => {});
  describe().catch(() => {});
})();

// A module: what it exports is called by its name. `request` may be changed in place.
import { stamp } from "./stamp.mjs";

export function onRequest(request, session) {
    request.SetHeaders["X-Stamp"] = stamp(session.alias ?? "nobody");
}

export function onResponse(response) {
    response.SetHeaders["X-Length"] = String(response.Body.length);
    response.DeleteHeaders.push("Server");
}

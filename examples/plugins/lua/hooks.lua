-- Hooks in Lua: what is the caller's is changed in place, or returned.
local names = require("names")

-- Before authentication: an answer in the place of the backend's, or a header.
function before(request, session, spec)
    if request.url:find("/teapot", 1, true) then
        local overrides = request.return_overrides
        overrides.response_code = 418
        overrides.response_body = json.encode({ error = "this gate brews no tea" })
        overrides.headers["Content-Type"] = "application/json"
        return request, session
    end
    local config = json.decode(spec.config_data)
    request.set_headers["X-Greeting"] = names.greeting(request.headers["X-Name"] or "you", config.region)
    table.insert(request.delete_headers, "X-Internal")
    return request, session
end

-- On the answer.
function after(request, response, session, metadata, spec)
    response.headers["X-Length"] = tostring(#response.raw_body)
    return response
end

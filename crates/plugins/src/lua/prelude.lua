-- What plugins find in their engine. `native` has the functions of the gate.
local native = ...

-- What catches errors must not catch that the time is up.
local function guarded(catch)
    return function(...)
        local got = table.pack(catch(...))
        native.in_time()
        return table.unpack(got, 1, got.n)
    end
end
pcall, xpcall, coroutine.resume = guarded(pcall), guarded(xpcall), guarded(coroutine.resume)
coroutine.close = nil
-- Finalizers run where nobody looks at the time.
local set = setmetatable
function setmetatable(table, meta)
    if type(meta) == "table" and rawget(meta, "__gc") ~= nil then error("there are no finalizers (`__gc`) here", 2) end
    return set(table, meta)
end
-- Code comes from the files of the plugin alone.
load, loadfile, dofile, loadstring, collectgarbage, string.dump = nil

function print(...)
    local words = table.pack(...)
    for at = 1, words.n do words[at] = tostring(words[at]) end
    native.log(table.concat(words, "\t"))
end

json = { encode = native.encode, decode = native.decode, null = native.null }
tyk = {
    log = function(text, level)
        text = tostring(text)
        native.log((level == nil or level == "info") and text or tostring(level) .. ": " .. text)
    end,
    store_data = function(name, text, seconds) native.store(tostring(name), tostring(text), seconds or 0) end,
    get_data = function(name) return native.stored(tostring(name)) end,
    trigger_event = function(name, payload) native.trigger(tostring(name), tostring(payload)) end,
    http = native.send,
}
b64enc, b64dec = native.to_base64, native.from_base64

local loaded = { json = json, cjson = json, tyk = tyk }
function require(name)
    if loaded[name] == nil then
        local run = native.module(name)
        if run == nil then error("there is no module `" .. tostring(name) .. "` among the files of the plugin", 2) end
        loaded[name] = true
        local value = run(name)
        if value ~= nil then loaded[name] = value end
    end
    return loaded[name]
end

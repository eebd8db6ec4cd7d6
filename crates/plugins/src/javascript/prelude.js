// What scripts find in their engine. `native` has the functions of the gate; what is returned is called by the gate.
(function (native) {
    "use strict";
    var global = globalThis;

    function Middleware(config) {
        this.config = config;
        this.onRequest = null;
        this.onResponse = null;
        this.onRecord = null;
    }
    Middleware.prototype = {
        constructor: Middleware,
        NewProcessRequest: function (callback) { this.onRequest = callback; },
        NewProcessResponse: function (callback) { this.onResponse = callback; },
        NewProcessRecord: function (callback) { this.onRecord = callback; },
        ReturnData: function (request, meta) { return { Request: request, SessionMeta: meta }; },
        ReturnAuthData: function (request, session) { return { Request: request, Session: session }; },
        ReturnResponseData: function (response, meta) { return { Response: response, SessionMeta: meta }; },
    };

    function EventHandler(config) {
        this.config = config;
        this.onEvent = null;
    }
    EventHandler.prototype = {
        constructor: EventHandler,
        NewHandler: function (callback) { this.onEvent = callback; },
    };

    global.TykJS = {
        TykMiddleware: { NewMiddleware: Middleware },
        TykEventHandlers: { NewEventHandler: EventHandler },
    };
    global.TykJsResponse = function (response, meta) {
        return JSON.stringify({ Response: response, SessionMeta: meta });
    };
    global.log = function (text) { native.log(String(text)); };
    global.rawlog = global.log;
    global.console = {};
    ["log", "info", "debug", "warn", "error", "trace"].forEach(function (name) {
        global.console[name] = function () {
            native.log(Array.prototype.map.call(arguments, function (value) {
                return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
            }).join(" "));
        };
    });
    global.b64enc = function (text) { return native.encode(String(text), true); };
    global.rawb64enc = function (text) { return native.encode(String(text), false); };
    global.b64dec = function (text) { return native.decode(String(text)); };
    global.rawb64dec = global.b64dec;
    global.TykMakeHttpRequest = function (request) { return native.send(String(request)); };
    global.TykBatchRequest = function (requests) { return native.batch(String(requests)); };
    global.TykGetKeyData = function (key, api) { return native.session(String(key), String(api)); };
    global.TykSetKeyData = function (key, session, suppress) {
        // Both that text and the value itself are given to it in the wild.
        var text = typeof session === "object" ? JSON.stringify(session) : String(session);
        native.putSession(String(key), text, suppress === true || suppress === "1" || suppress === 1);
    };
    global.TykStorageGet = function (name) { return native.stored(String(name)); };
    global.TykStorageSet = function (name, text, seconds) {
        return native.store(String(name), String(text), Number(seconds) || 0, false);
    };
    global.TykStorageSetNX = function (name, text, seconds) {
        return native.store(String(name), String(text), Number(seconds) || 0, true);
    };
    global.TykStorageDel = function (name) { return native.forget(String(name)); };
    global.TykStorageTTL = function (name) { return native.secondsLeft(String(name)); };
    global.TykStorageIncr = function (name, by) {
        return native.add(String(name), by === undefined ? 1 : Number(by));
    };

    // Where `var`, `function` and exports of modules stand; `const` and `let` of scripts are found by their name alone.
    function find(name) {
        var found = global[name];
        if (found !== undefined && (typeof found !== "function" || found !== Object.prototype[name])) return found;
        return /^[A-Za-z_$][\w$]*$/.test(name)
            ? (0, eval)("typeof " + name + " === 'undefined' ? undefined : " + name) : undefined;
    }

    // What is there before any script: the rest is what scripts define.
    var builtIn = {};
    Object.getOwnPropertyNames(global).forEach(function (name) { builtIn["$" + name] = true; });

    // The body that takes the place of another one; null where it stays.
    function changed(holder, body) {
        var now = holder.Body;
        if (holder.IgnoreBody || now === body) return null;
        if (now === undefined || now === null) return body === undefined ? null : "";
        return typeof now === "string" ? now : JSON.stringify(now);
    }

    // Requests and answers come piece by piece, as arguments: what each has one of first, then all lists. This is the
    // place of the next piece of those.
    var at = 0;

    // Names and some texts each.
    function listsFrom(pieces) {
        var all = {};
        for (var names = pieces[at++]; names > 0; names--) {
            var name = pieces[at++], left = pieces[at++], texts = left > 0 ? [pieces[at++]] : [];
            for (; left > 1; left--) texts.push(pieces[at++]);
            if (name === "__proto__") {
                Object.defineProperty(all, name,
                    { value: texts, enumerable: true, configurable: true, writable: true });
            } else {
                all[name] = texts;
            }
        }
        return all;
    }
    // Without its body, which comes last and is not shown to those who see an answer.
    function requestFrom(url, method, target, scheme, pieces) {
        at = 0;
        return {
            Headers: listsFrom(pieces), SetHeaders: {}, DeleteHeaders: [], URL: url, Params: listsFrom(pieces),
            AddParams: {}, ExtendedParams: {}, DeleteParams: [],
            ReturnOverrides: {
                ResponseCode: 0, ResponseError: "", ResponseBody: "", ResponseHeaders: {}, OverrideError: false,
            },
            IgnoreBody: false, Method: method, RequestURI: target, Scheme: scheme,
        };
    }
    function responseFrom(status, body, pieces) {
        return { StatusCode: status, Headers: listsFrom(pieces), SetHeaders: {}, DeleteHeaders: [], Body: body };
    }
    function parsed(text) {
        return text === undefined ? {} : JSON.parse(text);
    }
    function specFrom(org, api, config) {
        return { OrgID: org, APIID: api, config_data: parsed(config) };
    }

    // Of what a script gives, that which changes something goes back: what else there is would cost more on its way
    // than most scripts take. Header fields that are texts go piece by piece, since that is all that most scripts change.
    var keys = Object.keys;
    function has(object) {
        if (typeof object !== "object") return object !== undefined;
        return object !== null && keys(object).length > 0;
    }
    // Whether all of them have gone.
    function giveTexts(texts, pieces) {
        if (typeof texts !== "object" || texts === null || Array.isArray(texts)) return !has(texts);
        var names = keys(texts);
        for (var next = 0; next < names.length; next++) {
            var text = texts[names[next]];
            if (typeof text !== "string") {
                pieces.length = 2;
                return false;
            }
            pieces.push(names[next], text);
        }
        return true;
    }
    function added(some, made, name) {
        some = some || {};
        some[name] = made[name];
        return some;
    }
    // What else of a request is another; null where nothing is.
    function others(made, url, method) {
        var some = null, overrides = made.ReturnOverrides, headers = made.DeleteHeaders, params = made.DeleteParams;
        // Lists are mostly empty, and asking them costs less than asking what an object has.
        if (headers && headers.length !== 0 && has(headers)) some = added(some, made, "DeleteHeaders");
        if (params && params.length !== 0 && has(params)) some = added(some, made, "DeleteParams");
        if (has(made.AddParams)) some = added(some, made, "AddParams");
        if (has(made.ExtendedParams)) some = added(some, made, "ExtendedParams");
        if (made.URL !== url) some = added(some, made, "URL");
        if (made.Method !== method) some = added(some, made, "Method");
        if (made.IgnoreBody) some = added(some, made, "IgnoreBody");
        if (overrides && (overrides.ResponseCode || overrides.ResponseBody || overrides.ResponseError)) {
            some = added(some, made, "ReturnOverrides");
        }
        return some;
    }

    var entries = {
        has: function (name) {
            var found = find(name);
            return typeof found === "function" || found instanceof Middleware || found instanceof EventHandler
                || (typeof found === "object" && found !== null && typeof found.ProcessRequest === "function");
        },
        // Objects that can be called, then functions, each in the order of their definitions.
        defined: function () {
            var names = Object.getOwnPropertyNames(global).filter(function (name) { return !builtIn["$" + name]; });
            function are(kind) {
                return names.filter(function (name) { return typeof global[name] === kind && entries.has(name); });
            }
            return [JSON.stringify({ objects: are("object"), functions: are("function") }), null];
        },
        request: function (name, url, method, target, scheme, body, session, org, api, config, ...pieces) {
            var request = requestFrom(url, method, target, scheme, pieces);
            request.Body = body;
            var found = find(name);
            // The second is how the original's own file keeps it, which may be loaded for all scripts.
            var callback = typeof found === "function" ? found : found.onRequest || found.ProcessRequest;
            if (typeof callback !== "function") throw new Error("`" + name + "` has no NewProcessRequest");
            var given = callback.call(found, request, parsed(session), specFrom(org, api, config));
            if (typeof given === "string") given = JSON.parse(given);
            // A script that gives nothing has changed the request itself.
            if (given === undefined || given === null) given = {};
            var made = given.Request || request, pieces = [null, changed(made, body)];
            var some = others(made, url, method);
            if (!giveTexts(made.SetHeaders, pieces)) some = added(some, made, "SetHeaders");
            if (some || given.Session || has(given.SessionMeta)) {
                pieces[0] = JSON.stringify({
                    Request: some, Session: given.Session, SessionMeta: given.SessionMeta,
                });
            }
            return pieces;
        },
        response: function (
            name, url, method, target, scheme, ignored, session, org, api, config, status, body, ...pieces
        ) {
            var request = requestFrom(url, method, target, scheme, pieces);
            var response = responseFrom(status, body, pieces);
            var found = find(name);
            var callback = typeof found === "function" ? found : found.onResponse;
            if (typeof callback !== "function") throw new Error("`" + name + "` has no NewProcessResponse");
            var given = callback.call(found, response, request, parsed(session), specFrom(org, api, config));
            if (typeof given === "string") given = JSON.parse(given);
            if (given === undefined || given === null) given = {};
            var made = given.Response || response;
            var newBody = changed(made, body);
            return [JSON.stringify({
                Response: {
                    StatusCode: made.StatusCode, SetHeaders: made.SetHeaders, DeleteHeaders: made.DeleteHeaders,
                },
                SessionMeta: given.SessionMeta,
            }), newBody];
        },
        record: function (name, text, specText) {
            var found = find(name);
            var record = JSON.parse(text);
            var callback = typeof found === "function" ? found : found.onRecord;
            if (typeof callback !== "function") throw new Error("`" + name + "` has no NewProcessRecord");
            var given = callback.call(found, record, JSON.parse(specText));
            if (typeof given === "string") given = JSON.parse(given);
            // A script that gives nothing has changed the record itself.
            return [JSON.stringify(given === undefined || given === null ? record : given), null];
        },
        answer: function (name, url, method, target, scheme, body, sessionText, org, api, config, ...pieces) {
            var request = requestFrom(url, method, target, scheme, pieces), session = parsed(sessionText);
            request.Body = body;
            var found = find(name);
            // Functions give it back, whether there is anything in it or not.
            if (!session.meta_data) session.meta_data = {};
            var given = found(request, session, specFrom(org, api, config));
            return [typeof given === "string" ? given : JSON.stringify(given), null];
        },
        event: function (name, eventText, specText) {
            var found = find(name);
            var callback = typeof found === "function" ? found : found.onEvent;
            if (typeof callback !== "function") throw new Error("`" + name + "` has no NewHandler");
            callback.call(found, JSON.parse(eventText), JSON.parse(specText));
            return ["", null];
        },
    };

    // The engine forgets how objects are laid out with the last one of their kind. So that no call begins anew, one is kept
    // for each step of building others.
    entries.kept = [{}];
    function keep(object) {
        var some = {};
        keys(object).forEach(function (name) {
            some = Object.assign({}, some);
            some[name] = null;
            entries.kept.push(some);
        });
    }
    var request = requestFrom("", "", "", "", [0, 0]);
    request.Body = "";
    at = 0;
    [
        request, request.ReturnOverrides, responseFrom(0, "", [0]), specFrom("", ""), Middleware.prototype.ReturnData(),
    ].forEach(keep);
    return entries;
})

// Runs before authentication: notes the caller's country and refuses a path with a text of its own.
var headers = new TykJS.TykMiddleware.NewMiddleware({});

headers.NewProcessRequest(function (request, session, spec) {
    if (request.URL.indexOf("/teapot") >= 0) {
        request.ReturnOverrides.ResponseCode = 418;
        request.ReturnOverrides.ResponseBody = JSON.stringify({ error: "this gate brews no tea" });
        request.ReturnOverrides.ResponseHeaders = { "Content-Type": "application/json" };
        return headers.ReturnData(request, {});
    }
    request.SetHeaders["X-Region"] = spec.config_data.region || "unknown";
    request.DeleteHeaders.push("X-Internal");
    return headers.ReturnData(request, {});
});

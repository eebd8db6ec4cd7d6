// Called before the request goes on: change it, or answer in its place.
var NAME = new TykJS.TykMiddleware.NewMiddleware({});

NAME.NewProcessRequest(function (request, session, spec) {
    request.SetHeaders["X-Hello"] = "from NAME";
    return NAME.ReturnData(request, session.meta_data);
});

// Authenticates: whoever shows `Authorization: friend-NAME` is let in, with five requests a minute.
var auth = new TykJS.TykMiddleware.NewMiddleware({});

auth.NewProcessRequest(function (request, session, spec) {
    var shown = (request.Headers["Authorization"] || [""])[0];
    if (shown.indexOf("friend-") !== 0) {
        request.ReturnOverrides.ResponseCode = 401;
        request.ReturnOverrides.ResponseError = "friends only";
        return auth.ReturnAuthData(request, {});
    }
    var rights = {};
    rights[spec.APIID] = { api_id: spec.APIID, versions: ["Default"] };
    return auth.ReturnAuthData(request, {
        alias: shown.slice("friend-".length),
        rate: 5, per: 60, quota_max: -1, access_rights: rights,
    });
});

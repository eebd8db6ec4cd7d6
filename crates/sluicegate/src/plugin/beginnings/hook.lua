-- Called before the request goes on: change it, or answer in its place.
function NAME(request, session, spec)
    request.set_headers["X-Hello"] = "from NAME"
    return request, session
end

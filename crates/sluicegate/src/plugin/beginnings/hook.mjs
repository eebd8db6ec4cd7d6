// Called before the request goes on: change it, or answer in its place. Other modules are imported from beside this file.
export function NAME(request, session, spec) {
    request.SetHeaders["X-Hello"] = "from NAME";
}

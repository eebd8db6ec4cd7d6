//! What clients are told that are refused (contract 4.1, "MCP JSON-RPC APIs"): an error of JSON-RPC, and beside it the status
//! of HTTP as everywhere else.

use serde_json::{Value, json};

pub(crate) const PARSE_ERROR: i32 = -32700;
pub(crate) const INVALID_REQUEST: i32 = -32600;
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// Header fields say something else than the body (MCP 2026-07-28).
pub const HEADER_MISMATCH: i32 = -32020;
const METHOD_NOT_FOUND: i32 = -32601;
const INTERNAL: i32 = -32603;
const SERVER: i32 = -32000;
const AUTH_REQUIRED: i32 = -32001;
const ACCESS_DENIED: i32 = -32002;
const RATE_LIMIT: i32 = -32003;
const UPSTREAM: i32 = -32004;
const QUOTA: i32 = -32005;
const ADDRESS: i32 = -32006;

/// The code of a refusal: by its status, and by its flag where that tells more.
pub fn code(status: u16, flag: &str) -> i32 {
    match (status, flag) {
        (403, "QEX") => QUOTA,
        (403, "IPD") => ADDRESS,
        (400 | 405, _) => INVALID_REQUEST,
        (401, _) => AUTH_REQUIRED,
        (403, _) => ACCESS_DENIED,
        (404, _) => METHOD_NOT_FOUND,
        (429, _) => RATE_LIMIT,
        (502..=504, _) => UPSTREAM,
        (500.., _) => INTERNAL,
        _ => SERVER,
    }
}

/// The body of a refusal. `id`: of what is refused, as JSON; `status` is told again where it is not that of the code alone.
pub fn refusal(code: i32, message: &str, id: &str, status: Option<u16>) -> String {
    let mut error = json!({"code": code, "message": message});
    if let Some(status) = status {
        error["data"] = json!({"http_code": status});
    }
    let error: Value = error;
    format!("{{\"jsonrpc\":\"2.0\",\"error\":{error},\"id\":{id}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_code() {
        for (status, flag, expected) in [
            (400, "BIV", -32600),
            (401, "AMF", -32001),
            (403, "EAD", -32002),
            (403, "QEX", -32005),
            (403, "IPD", -32006),
            (404, "", -32601),
            (405, "", -32600),
            (408, "", -32000),
            (413, "BTL", -32000),
            (429, "RLT", -32003),
            (500, "", -32603),
            (502, "URS", -32004),
            (503, "", -32004),
            (504, "", -32004),
            (505, "", -32603),
        ] {
            assert_eq!(code(status, flag), expected, "{status} {flag}");
        }
        assert_eq!(
            refusal(-32003, "say \"when\"", "7", Some(429)),
            r#"{"jsonrpc":"2.0","error":{"code":-32003,"message":"say \"when\"","data":{"http_code":429}},"id":7}"#
        );
        assert_eq!(
            refusal(-32700, "parse error", "null", None),
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse error"},"id":null}"#
        );
    }
}

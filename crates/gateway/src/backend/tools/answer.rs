//! What came of a use of a tool, as the result of a call (MCP 2025-11-25, "Tool Result").

use apidef::Tool;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};

use super::asking::Told;

/// The result that an answer is. `fits`: whether a text is what clients are told that answers are.
pub(super) fn of(tool: &Tool, told: &Told, fits: impl Fn(&str) -> bool) -> String {
    let status = told.status;
    let mut head = format!("HTTP {}", status.as_u16());
    if let Some(reason) = status.canonical_reason() {
        head.push(' ');
        head.push_str(reason);
    }
    if !status.is_success() {
        if let Some(to) = text_of(&told.headers, LOCATION).filter(|_| status.is_redirection()) {
            head = format!("{head}, to {to}");
        }
        let text = text(told);
        return mcp::told(&if text.trim().is_empty() { head } else { format!("{head}\n\n{text}") }, true);
    }
    if text_of(&told.headers, CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return mcp::told(&format!("{head}: the answer is packed, though it was asked for plainly"), true);
    }
    // Where clients are told what answers are, they wait for one that is so.
    let is_told = tool.answers_checked && tool.output.is_some();
    let kind = text_of(&told.headers, CONTENT_TYPE).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    for (what, family) in [("image", "image/"), ("audio", "audio/")] {
        let is_one =
            media.starts_with(family) && media != "image/svg+xml" && !told.cut && !told.body.is_empty();
        if is_one && !is_told {
            return mcp::pictured(what, &media, &STANDARD.encode(&told.body));
        }
    }
    let is_json = media == "application/json" || media.ends_with("+json");
    let is_text =
        is_json || media.is_empty() || media.starts_with("text/") || std::str::from_utf8(&told.body).is_ok();
    if told.cut || !is_text || told.body.is_empty() {
        let told_as = match (is_text, told.body.is_empty()) {
            (_, true) => head,
            (true, false) => format!("{}\n\n(cut off after {} bytes)", text(told), told.body.len()),
            (false, false) => format!("{head}: {} bytes of {media}, which is no text", told.body.len()),
        };
        return mcp::told(&told_as, is_told);
    }
    let text = text(told);
    if !fits(&text) {
        return mcp::told(&text, true);
    }
    mcp::answered(&text, is_told || tool.answers_json && is_json)
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The body as text; where it was cut off within a letter, without that.
fn text(told: &Told) -> String {
    let body = match std::str::from_utf8(&told.body) {
        Err(error) if error.error_len().is_none() => &told.body[..error.valid_up_to()],
        _ => &told.body[..],
    };
    String::from_utf8_lossy(body).into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use apidef::ToolHints;
    use bytes::Bytes;
    use http::StatusCode;
    use serde_json::{Value, json};
    use std::sync::Arc;

    pub(in super::super) fn tool(answers_json: bool, checked: bool) -> Tool {
        Tool {
            name: "t".into(),
            description: "t".into(),
            hints: ToolHints::default(),
            method: "GET".into(),
            path: "/".into(),
            beside: Arc::default(),
            inner: false,
            arguments: Box::default(),
            body: None,
            input: json!({}),
            output: checked.then(|| json!({})),
            answers_json,
            answers_checked: checked,
            entry: None,
        }
    }

    fn answered(tool: &Tool, status: u16, fields: &[(&str, &str)], body: &[u8], cut: bool) -> Value {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let told = Told { status, headers, body: Bytes::copy_from_slice(body), cut };
        serde_json::from_str(&of(tool, &told, |text| text != "{\"odd\":1}")).unwrap()
    }

    #[test]
    fn answers_become_results() {
        let json = [("content-type", "application/json; charset=utf-8")];
        let text = |text: &str, is_error: bool| json!({"content": [{"type": "text", "text": text}], "isError": is_error});
        let (plain, documented, checked) = (tool(false, false), tool(true, false), tool(true, true));
        let structured = json!({"content": [{"type": "text", "text": "{\"a\":1}"}], "structuredContent": {"a": 1}, "isError": false});
        for (tool, status, fields, body, expected) in [
            (&documented, 200, &json[..], &b"{\"a\":1}"[..], structured.clone()),
            (&checked, 200, &json[..], b"{\"a\":1}", structured.clone()),
            // It is what was told, whatever it says that it is.
            (&checked, 200, &[("content-type", "text/plain")], b"{\"a\":1}", structured.clone()),
            (&checked, 200, &[("content-type", "image/png")], b"{\"a\":1}", structured),
            (
                &checked,
                200,
                &[("content-type", "image/png")],
                b"\x89P\xff",
                text("HTTP 200 OK: 3 bytes of image/png, which is no text", true),
            ),
            (&plain, 200, &json[..], b"{\"a\":1}", text("{\"a\":1}", false)),
            (&documented, 200, &json[..], b"[1]", text("[1]", false)),
            (&documented, 200, &[("content-type", "text/plain")], b"{\"a\":1}", text("{\"a\":1}", false)),
            (&documented, 204, &[], b"", text("HTTP 204 No Content", false)),
            (
                &documented,
                404,
                &json[..],
                b"{\"error\":\"none\"}",
                text("HTTP 404 Not Found\n\n{\"error\":\"none\"}", true),
            ),
            (&documented, 500, &[], b"", text("HTTP 500 Internal Server Error", true)),
            (&documented, 302, &[("location", "/x")], b"", text("HTTP 302 Found, to /x", true)),
            (&checked, 200, &json[..], b"{\"odd\":1}", text("{\"odd\":1}", true)),
            (&checked, 204, &[], b"", text("HTTP 204 No Content", true)),
            (
                &plain,
                200,
                &[("content-type", "application/pdf")],
                b"%PDF\xff",
                text("HTTP 200 OK: 5 bytes of application/pdf, which is no text", false),
            ),
            (
                &plain,
                200,
                &[("content-encoding", "gzip")],
                b"\x1f",
                text("HTTP 200 OK: the answer is packed, though it was asked for plainly", true),
            ),
            (
                &plain,
                200,
                &[("content-type", "image/png")],
                b"\x89P",
                json!({"content": [{"type": "image", "data": "iVA=", "mimeType": "image/png"}], "isError": false}),
            ),
        ] {
            assert_eq!(answered(tool, status, fields, body, false), expected, "{status} {fields:?}");
        }
        let cut = answered(&documented, 200, &json, "{\"a\":\"é".as_bytes().split_last().unwrap().1, true);
        assert_eq!(cut, text("{\"a\":\"\n\n(cut off after 7 bytes)", false));
    }
}

//! The reference of keys, written from the tables that the parsers use.

use crate::fields::describe;
use crate::{auth, classic, oas};

/// Markdown: every key of both formats, and what becomes of it. `docs/definitions.md` ends with it.
pub fn reference() -> String {
    let mut out = String::new();
    let tables = [
        ("Classic definitions", classic::table::ROOT),
        ("OpenAPI definitions", oas::table::ROOT),
        ("OpenAPI: `server.authentication.securitySchemes.*` of an `apiKey`", auth::OAS_TOKEN),
        ("OpenAPI: `server.authentication.securitySchemes.*` of `http` with `basic`", auth::OAS_BASIC),
        ("OpenAPI: `server.authentication.securitySchemes.*` of `http` with `bearer`", auth::OAS_JWT),
        (
            "OpenAPI: `server.authentication.securitySchemes.*` of `oauth2` with `providers`",
            auth::OAS_EXTERNAL_OAUTH,
        ),
        (
            "OpenAPI: `server.authentication.securitySchemes.*` of `oauth2` with `scopeCheck`, `protectedResourceMetadata` or `tokenExchange`",
            auth::OAS_OAUTH2,
        ),
    ];
    for (title, fields) in tables {
        out.push_str(&format!("### {title}\n\n| Key | What becomes of it |\n|---|---|\n"));
        describe(fields, "", "", &mut out);
        out.push('\n');
    }
    out
}

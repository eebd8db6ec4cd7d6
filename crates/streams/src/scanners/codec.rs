//! The older way to name a scanner: the text `codec`, such as `gzip/lines`.

use std::sync::Arc;

use document::{Fault, pointer_join};
use serde_json::{Value as Json, json};

use crate::build::BuildContext;
use crate::node::Node;
use crate::registry::{Default, Field, Kind};
use crate::scanner::Scanner;

/// The field beside `scanner` that older configurations use.
pub const CODEC: Field = Field::optional(
    "codec",
    Kind::Text,
    "Older form of `scanner`: `all-bytes`, `lines`, `delim:x`, `csv`, `csv:x`, `csv-safe`, `chunker:x`, `regex:x`, `tar`, `avro-ocf:marshaler=json`, and before one of these `gzip/`, `pgzip/` or `skipbom/`.",
)
.advanced()
.deprecated("write `scanner`");

/// The field that belongs to [`CODEC`].
pub const MAX_BUFFER: Field = Field::new(
    "max_buffer",
    Kind::Size,
    Default::Int(1_000_000),
    "Belongs to `codec`: the longest message of `lines`, `delim` and `regex`, in bytes.",
)
.advanced()
.deprecated("write `scanner`, which has a bound of its own");

/// Builds what the fields `scanner`, `codec` and `max_buffer` of this object say; `lines` when none is written.
///
/// # Errors
/// Both `scanner` and `codec`, or a wrong one.
pub fn scanner_or_codec(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Arc<dyn Scanner>, Fault> {
    let codec = node.text("codec")?;
    if codec.is_empty() {
        return context.scanner(&node.get("scanner"), "lines");
    }
    if node.has("scanner") {
        return Err(node.field_fault("codec", "`codec` is the older form of `scanner`; write only `scanner`"));
    }
    let most = node.size("max_buffer")?.unwrap_or(1_000_000);
    let config = translate(&codec, most).map_err(|fault| node.field_fault("codec", fault))?;
    let place = pointer_join(node.pointer(), "codec");
    // What is wrong inside is told for the text that was written.
    context.scanner(&Node::new(&config, Kind::Scanner, place.clone()), "lines").map_err(|mut fault| {
        fault.pointer = place;
        fault
    })
}

/// The scanner that a codec means.
fn translate(codec: &str, most: u64) -> Result<Json, String> {
    let (first, inner) = match codec.split_once('/') {
        Some((first, inner)) if matches!(first, "gzip" | "pgzip" | "skipbom") => (first, Some(inner)),
        _ => (codec, None),
    };
    if matches!(first, "gzip" | "pgzip" | "skipbom") {
        let into = match inner {
            Some(inner) => translate(inner, most)?,
            None => json!({"to_the_end": {}}),
        };
        return Ok(match first {
            "skipbom" => json!({"skip_bom": {"into": into}}),
            algorithm => json!({"decompress": {"algorithm": algorithm, "into": into}}),
        });
    }
    let (name, argument) = first.split_once(':').map_or((first, None), |(name, rest)| (name, Some(rest)));
    let csv = |safe: bool| {
        let mut csv = json!({"continue_on_error": safe});
        if let Some(delimiter) = argument {
            csv["custom_delimiter"] = json!(delimiter);
        }
        json!({"csv": csv})
    };
    Ok(match (name, argument) {
        ("all-bytes", None) => json!({"to_the_end": {}}),
        ("lines", None) => json!({"lines": {"max_buffer_size": most}}),
        ("delim", Some(text)) if !text.is_empty() => {
            json!({"lines": {"custom_delimiter": text, "max_buffer_size": most}})
        }
        ("regex", Some(pattern)) => json!({"re_match": {"pattern": pattern, "max_buffer_size": most}}),
        ("chunker", Some(size)) => {
            let size: u64 = size.parse().map_err(|_| format!("`{size}` is not a size for `chunker`"))?;
            json!({"chunker": {"size": size}})
        }
        ("csv", _) => csv(false),
        ("csv-safe", _) => csv(true),
        ("csv-gzip", _) => json!({"decompress": {"algorithm": "gzip", "into": csv(false)}}),
        ("tar", None) => json!({"tar": {}}),
        ("tar-gzip", None) => json!({"decompress": {"algorithm": "gzip", "into": {"tar": {}}}}),
        ("avro-ocf", Some("marshaler=json")) => json!({"avro": {"raw_json": true}}),
        ("avro-ocf", None | Some("marshaler=goavro")) => json!({"avro": {}}),
        ("multipart" | "auto", _) => return Err(format!("`{name}` is not offered; name a `scanner`")),
        _ => return Err(format!("there is no codec `{first}`; name a `scanner`")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_scanners_by_another_name() {
        let lines = json!({"lines": {"max_buffer_size": 9}});
        for (codec, scanner) in [
            ("lines", lines.clone()),
            ("all-bytes", json!({"to_the_end": {}})),
            ("delim:a/b:c", json!({"lines": {"custom_delimiter": "a/b:c", "max_buffer_size": 9}})),
            ("regex:(?m)^\\d", json!({"re_match": {"pattern": "(?m)^\\d", "max_buffer_size": 9}})),
            ("chunker:12", json!({"chunker": {"size": 12}})),
            ("csv:|", json!({"csv": {"continue_on_error": false, "custom_delimiter": "|"}})),
            ("csv-safe", json!({"csv": {"continue_on_error": true}})),
            ("gzip", json!({"decompress": {"algorithm": "gzip", "into": {"to_the_end": {}}}})),
            (
                "skipbom/pgzip/lines",
                json!({"skip_bom": {"into": {"decompress": {"algorithm": "pgzip", "into": lines}}}}),
            ),
            ("tar-gzip", json!({"decompress": {"algorithm": "gzip", "into": {"tar": {}}}})),
            ("avro-ocf:marshaler=json", json!({"avro": {"raw_json": true}})),
        ] {
            assert_eq!(translate(codec, 9), Ok(scanner), "{codec}");
        }
        for wrong in ["", "line", "delim", "delim:", "chunker:x", "lines/multipart", "auto", "gzip/", "tar:1"]
        {
            assert!(translate(wrong, 9).is_err(), "{wrong}");
        }
    }
}

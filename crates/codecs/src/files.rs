//! Files that a configuration names: read whole, once, when the component is built.

use std::io::Read;
use std::path::Path;

use document::Fault;
use streams::Node;

/// Schemas and scripts larger than this are refused.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The text of a file, relative to the working directory. Faults never quote what stands in it.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let fault = |error: std::io::Error| format!("`{}` cannot be read: {error}", path.display());
    let file = std::fs::File::open(path).map_err(fault)?;
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(fault)?;
    if text.len() as u64 > LARGEST {
        return Err(format!("`{}` is larger than {LARGEST} bytes", path.display()));
    }
    Ok(text)
}

/// The schema of a component that has it either in the field `schema` or in a file that `schema_path` names.
pub(crate) fn schema(node: &Node<'_>) -> Result<(String, &'static str), Fault> {
    let inline = node.optional_text("schema")?.filter(|text| !text.is_empty());
    let path = node.optional_text("schema_path")?.filter(|text| !text.is_empty());
    match (inline, path) {
        (Some(schema), _) => Ok((schema.into_owned(), "schema")),
        (None, Some(path)) => {
            let Some(path) = path.strip_prefix("file://") else {
                return Err(node.field_fault(
                    "schema_path",
                    "`schema_path` must begin with `file://`; schemas are not fetched over the network here, so that a stream starts without it: save the schema to a file",
                ));
            };
            let text = read(Path::new(path)).map_err(|fault| node.field_fault("schema_path", fault))?;
            Ok((text, "schema_path"))
        }
        (None, None) => Err(node.fault("one of `schema` and `schema_path` is required")),
    }
}

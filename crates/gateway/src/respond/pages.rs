//! What errors say: the templates of contract 4.1, those that are built in and those of a folder.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use templates::{Template, Value};

use super::JSON;

const XML: HeaderValue = HeaderValue::from_static("application/xml");
/// Longest template, in bytes.
const LONGEST: u64 = 1 << 20;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Xml,
    /// Anything else.
    Plain,
}

impl Format {
    /// The format of an error follows the *request's* content type, as clients of the original expect.
    pub(crate) fn of(request: &HeaderMap) -> (Self, HeaderValue) {
        let media = request.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
        match media.map(str::trim) {
            Some(media @ ("application/xml" | "text/xml" | "application/soap+xml")) => {
                (Self::Xml, HeaderValue::from_str(media).unwrap_or(XML))
            }
            _ => (Self::Json, JSON),
        }
    }

    /// That of a content type.
    pub(super) fn named(kind: &HeaderValue) -> Self {
        let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
        match kind {
            kind if kind.contains("json") => Self::Json,
            kind if kind.contains("xml") || kind.contains("html") => Self::Xml,
            _ => Self::Plain,
        }
    }

    fn ending(self) -> &'static str {
        if self == Self::Xml { "xml" } else { "json" }
    }

    /// A text as it may stand in such a document.
    fn escaped(self, text: &str) -> String {
        match self {
            Self::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Xml => escape_xml(text),
            Self::Plain => text.to_owned(),
        }
    }

    /// What templates see of an error.
    pub(super) fn values(self, status: StatusCode, message: &str) -> Value {
        templates::map([
            ("Message", Value::String(self.escaped(message).into())),
            ("StatusCode", Value::Int(i64::from(status.as_u16()))),
        ])
    }
}

/// The templates of a folder, by name.
#[derive(Debug, Default)]
pub struct ErrorPages(HashMap<String, Template>);

impl ErrorPages {
    /// Reads the templates of a folder: `error.json`, `error_404.xml` and their like, and those that overrides name.
    ///
    /// Blocking; meant for the start of the process.
    ///
    /// # Errors
    /// Which of them cannot be used, and why. A folder that is not there has none.
    pub fn load(folder: &Path) -> Result<Self, String> {
        let mut pages = HashMap::new();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("`{}` cannot be read: {error}", folder.display())),
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with("error") || !(name.ends_with(".json") || name.ends_with(".xml")) {
                continue;
            }
            let template = read(&entry.path())?;
            pages.insert(name, template);
        }
        Ok(Self(pages))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The text of an error.
    pub(super) fn text(&self, format: Format, status: StatusCode, message: &str) -> String {
        let ending = format.ending();
        let own = || {
            if self.0.is_empty() {
                return None;
            }
            let of_status = self.0.get(&format!("error_{}.{ending}", status.as_u16()));
            let template = of_status.or_else(|| self.0.get(&format!("error.{ending}")))?;
            match template.render(&format.values(status, message)) {
                Ok(text) => Some(text),
                Err(error) => {
                    tracing::warn!(status = status.as_u16(), error, "a template of errors fails");
                    None
                }
            }
        };
        own().unwrap_or_else(|| {
            let message = format.escaped(message);
            match format {
                Format::Xml => {
                    format!("<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>{message}</error>\n")
                }
                _ => format!("{{\n    \"error\": \"{message}\"\n}}"),
            }
        })
    }
}

/// Reads one template.
pub(super) fn read(path: &Path) -> Result<Template, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("`{shown}` cannot be read: {error}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    let length = file.take(LONGEST + 1).read_to_string(&mut text).map_err(cannot)?;
    if length as u64 > LONGEST {
        return Err(format!("`{shown}` is longer than {LONGEST} bytes"));
    }
    Template::parse_quick("error", &text)
        .map_err(|why| format!("the template `{shown}` cannot be used: {why}"))
}

fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_1_rows_1_to_3_errors_are_told_by_status_and_format() {
        let template = |text: &str| Template::parse("t", text).unwrap();
        let own = ErrorPages(HashMap::from([
            ("error_404.json".to_owned(), template("{{.StatusCode}} {{.Message}}")),
            ("error.xml".to_owned(), template("<e>{{.Message}}</e>")),
            ("error_500.json".to_owned(), template("{{index .none 7}}")),
        ]));
        let none = ErrorPages::default();
        for (pages, format, status, text) in [
            (&none, Format::Json, 404, "{\n    \"error\": \"a \\\"b\\\" <c>\"\n}"),
            (
                &none,
                Format::Xml,
                404,
                "<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>a &#34;b&#34; &lt;c&gt;</error>\n",
            ),
            (&own, Format::Json, 404, "404 a \\\"b\\\" <c>"),
            (&own, Format::Json, 403, "{\n    \"error\": \"a \\\"b\\\" <c>\"\n}"),
            (&own, Format::Xml, 404, "<e>a &#34;b&#34; &lt;c&gt;</e>"),
            // One that fails leaves nobody without an answer.
            (&own, Format::Json, 500, "{\n    \"error\": \"a \\\"b\\\" <c>\"\n}"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(pages.text(format, status, "a \"b\" <c>"), text, "{format:?} {status}");
        }
    }
}

//! Answers made smaller for clients that take them so (`x-sluicegate.compression`). Neither format of the original has it:
//! an API that says nothing passes answers on as they come.

use crate::fields::{Field, acts};
use crate::limits::OWN;
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// `x-sluicegate.compression`.
pub(crate) const FIELDS: &[Field] = &[acts("enabled"), acts("codings"), acts("types"), acts("smallest")];

/// Media types whose bodies are worth it where nothing is said.
const TYPES: [&str; 10] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/x-ndjson",
    "application/wasm",
    "application/yaml",
    "image/svg+xml",
];
/// Shorter bodies hardly become smaller.
const SMALLEST: u64 = 1024;
/// Nobody waits for more.
const MOST_SMALLEST: f64 = (1 << 30) as f64;

/// Which answers are made smaller, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// How, the best first.
    pub codings: Box<[ContentCoding]>,
    /// Media types: lower case, `text/*` for all of a kind, `application/*+json` for all with an ending.
    pub types: Box<[Box<str>]>,
    /// Bodies that are known to be shorter are left alone.
    pub smallest: u64,
}

/// A coding of contents (RFC 9110, section 8.4.1; RFC 7932; RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// `br`
    Brotli,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
}

impl ContentCoding {
    /// All of them, the best first: what takes the least time for what it gains.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// As HTTP and definitions call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl Compression {
    /// As the root of a definition has it, in both formats.
    pub(crate) fn read(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<Self>> {
        let at = root.section(OWN, faults).section("compression", faults);
        let enabled = at.flag("enabled", faults);
        let mut codings = Vec::new();
        for name in at.texts("codings", faults) {
            match ContentCoding::ALL.into_iter().find(|coding| coding.name() == &*name) {
                Some(coding) if !codings.contains(&coding) => codings.push(coding),
                Some(_) => {}
                None => {
                    let text =
                        format!("`{name}` is no coding that the gate has; write `br`, `gzip` or `zstd`");
                    faults.push(Fault::error(at.at("codings"), text));
                }
            }
        }
        if codings.is_empty() {
            codings.extend(ContentCoding::ALL);
        }
        let mut types: Vec<Box<str>> = Vec::new();
        for name in at.texts("types", faults) {
            let name = name.trim().to_ascii_lowercase();
            if name.split_once('/').is_none_or(|(kind, rest)| kind.is_empty() || rest.is_empty())
                || name.contains([';', ',', ' '])
                || name.matches('*').count() > 1
            {
                let text = format!(
                    "`{name}` is no media type; write such as `application/json`, `text/*` or `application/*+json`"
                );
                faults.push(Fault::error(at.at("types"), text));
            }
            types.push(name.into());
        }
        if types.is_empty() {
            types.extend(TYPES.map(Box::from));
        }
        let smallest = match at.get("smallest") {
            None => SMALLEST,
            Some(_) => {
                let number = at.number("smallest", faults);
                if number.fract() != 0.0 || !(0.0..=MOST_SMALLEST).contains(&number) {
                    let text =
                        format!("`smallest` must be a whole number of bytes from 0 to {MOST_SMALLEST}");
                    faults.push(Fault::error(at.at("smallest"), text));
                }
                number as u64
            }
        };
        enabled.then(|| Box::new(Self { codings: codings.into(), types: types.into(), smallest }))
    }

    /// What `x-sluicegate.compression` is to say.
    pub(crate) fn write(&self) -> Value {
        let codings: Vec<&str> = self.codings.iter().map(|coding| coding.name()).collect();
        json!({"enabled": true, "codings": codings, "types": self.types, "smallest": self.smallest})
    }

    /// Whether bodies of this media type are worth it.
    pub fn fits(&self, media_type: &str) -> bool {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.types.iter().any(|pattern| match pattern.split_once('*') {
            None => **pattern == *essence,
            Some((begin, end)) => {
                essence.len() > begin.len() + end.len()
                    && essence.starts_with(begin)
                    && essence.ends_with(end)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(own: Value) -> (Option<Box<Compression>>, Vec<String>) {
        let (root, mut faults) = (json!({"x-sluicegate": {"compression": own}}), Vec::new());
        let section = Section::root(&root, &mut faults);
        let read = Compression::read(&section, &mut faults);
        (read, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn it_is_off_unless_it_is_switched_on_and_says_the_rest_by_itself() {
        for off in [json!({}), json!({"enabled": false, "types": ["text/plain"]})] {
            assert_eq!(read(off), (None, vec![]));
        }
        let (model, faults) = read(json!({"enabled": true}));
        let model = model.unwrap();
        assert_eq!((faults.len(), model.smallest), (0, 1024));
        assert_eq!(*model.codings, [ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip]);
        assert_eq!(read(model.write()).0.unwrap(), model);
        let own = json!({"enabled": true, "codings": ["gzip", "br", "gzip"], "types": ["Image/BMP"], "smallest": 0});
        let model = read(own).0.unwrap();
        assert_eq!((&*model.codings, model.smallest), (&[ContentCoding::Gzip, ContentCoding::Brotli][..], 0));
        assert!(model.fits("image/bmp") && !model.fits("text/plain"));
    }

    #[test]
    fn media_types_fit_by_name_kind_and_ending() {
        let model = read(json!({"enabled": true})).0.unwrap();
        for (media_type, fits) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/html", true),
            ("text/", false),
            ("application/problem+json", true),
            ("application/+json", false),
            ("image/png", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            assert_eq!(model.fits(media_type), fits, "{media_type}");
        }
    }

    #[test]
    fn what_nobody_has_is_refused_at_its_place() {
        for (own, pointer) in [
            (json!({"enabled": true, "codings": ["compress"]}), "codings"),
            (json!({"enabled": true, "codings": "gzip"}), "codings"),
            (json!({"enabled": true, "types": ["json"]}), "types"),
            (json!({"enabled": true, "types": ["*/*"]}), "types"),
            (json!({"enabled": true, "smallest": -1}), "smallest"),
            (json!({"enabled": true, "smallest": 1.5}), "smallest"),
            (json!({"enabled": "yes"}), "enabled"),
        ] {
            assert_eq!(read(own.clone()).1, [format!("/x-sluicegate/compression/{pointer}")], "{own}");
        }
    }
}

//! Methods for names: of files, and for URLs.

use super::receive::{array, gather, like, text};
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated, Failure};
use crate::value::MAX_SIZE;

const CHAPTER: &str = "Text";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(
        CHAPTER,
        "filepath_join",
        "The elements of a path joined, without `.`, `..` and double slashes.",
        |_, value, _| {
            let mut parts = Vec::new();
            for (index, item) in array(value)?.iter().enumerate() {
                let part = text(item).map_err(|failure| Failure::new(format!("index {index}: {failure}")))?;
                if !part.is_empty() {
                    parts.push(part.into_owned());
                }
            }
            Ok(Value::from(if parts.is_empty() { String::new() } else { clean(&parts.join("/")) }))
        },
    )
    .examples(&[
        Example("root = this.filepath_join()", r#"["/a/","../b","c.txt"]"#, r#""/b/c.txt""#),
        Example("root = this.filepath_join()", r#"["a",1]"#, "error: index 1"),
    ]),
    Spec::method(CHAPTER, "filepath_split", "A path as folder, with its slash, and name.", |_, value, _| {
        let path = text(&value)?;
        let (folder, name) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
        Ok(Value::array(vec![like(&value, folder.to_owned()), like(&value, name.to_owned())]))
    })
    .examples(&[
        Example("root = this.filepath_split()", r#""/a/b.txt""#, r#"["/a/","b.txt"]"#),
        Example("root = this.filepath_split()", r#""b.txt""#, r#"["","b.txt"]"#),
    ]),
    Spec::method(
        CHAPTER,
        "slug",
        "Text as a part of a URL: small letters and digits of ASCII between hyphens.",
        |context, value, arguments| {
            let language = arguments.text(context, 0)?;
            Ok(like(&value, slug(&text(&value)?, &language).map_err(Failure::new)?))
        },
    )
    .parameters(&[Parameter::with_default(
        "lang",
        Kind::Text,
        Fixed::Text("en"),
        "The language, for the names of `&` and `@` and for umlauts.",
    )])
    .examples(&[
        Example("root = this.slug()", r#""Crème & Brûlée!""#, r#""creme-and-brulee""#),
        Example(r#"root = this.slug("de")"#, r#""Größe & Maß""#, r#""groesse-und-mass""#),
    ]),
    Spec::method(
        CHAPTER,
        "split_by",
        "Pieces of text (by characters), bytes or an array, cut where a test holds.",
        split_by,
    )
    .parameters(&[Parameter::required(
        "predicate",
        Kind::Query,
        "A query that gives a bool for a character, byte or element.",
    )])
    .examples(&[
        Example(r#"root = this.split_by(c -> c == "," || c == ";")"#, r#""a,b;c""#, r#"["a","b","c"]"#),
        Example("root = this.split_by(n -> n < 0)", "[1,-1,2,3]", "[[1],[2,3]]"),
    ]),
];

/// The shortest form of a path, by its text alone.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// What `&` and `@` are called.
fn signs(language: &str) -> (&'static str, &'static str) {
    match language {
        "bg" => ("i", "v"),
        "cs" | "sk" => ("a", "zavinac"),
        "de" | "ger" => ("und", "an"),
        "es" | "spa" => ("y", "en"),
        "fi" | "fin" => ("ja", "at"),
        "fr" | "fra" => ("et", "arobase"),
        "gr" | "el" | "ell" => ("kai", "at"),
        "hu" | "hun" => ("es", "kukac"),
        "id" | "idn" | "ind" => ("dan", "di"),
        "it" | "ita" => ("e", "chiocciola"),
        "kk" | "kz" | "kaz" => ("zhane", "at"),
        "nb" | "nob" | "nn" | "nno" | "no" => ("og", "at"),
        "nl" | "nld" => ("en", "at"),
        "pl" | "pol" => ("i", "na"),
        "pt" | "prt" | "pt-br" | "br" | "bra" | "por" => ("e", "em"),
        "ro" | "rou" => ("si", "la"),
        "sl" | "slv" => ("in", "na"),
        "sv" | "swe" => ("och", "snabel a"),
        "tr" | "tur" => ("ve", "et"),
        _ => ("and", "at"),
    }
}

fn slug(text: &str, language: &str) -> Result<String, String> {
    let language = language.to_lowercase();
    let (and, at) = signs(&language);
    let german = matches!(&*language, "de" | "ger");
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.trim().chars() {
        if plain.len() as u64 > MAX_SIZE {
            return Err(format!("the result would be larger than {} MiB", MAX_SIZE >> 20));
        }
        match c {
            '&' => plain.push_str(and),
            '@' => plain.push_str(at),
            'ä' | 'Ä' if german => plain.push_str("ae"),
            'ö' | 'Ö' if german => plain.push_str("oe"),
            'ü' | 'Ü' if german => plain.push_str("ue"),
            // These join what they stand between.
            '\'' | '"' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => {}
            '\u{2012}'..='\u{2015}' => plain.push('-'),
            c => plain.push_str(deunicode::deunicode_char(c).unwrap_or_default()),
        }
    }
    let mut slug = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || c == '_' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    Ok(slug.trim_matches(['-', '_']).to_owned())
}

fn split_by(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    match &value {
        Value::String(text) => {
            let mut pieces = vec![String::new()];
            for c in text.chars() {
                if arguments.test(context, 0, Value::from(&*c.encode_utf8(&mut [0; 4])))? {
                    pieces.push(String::new());
                } else if let Some(piece) = pieces.last_mut() {
                    piece.push(c);
                }
            }
            gather(pieces.into_iter().map(|piece| Ok(Value::from(piece))))
        }
        Value::Bytes(bytes) => {
            let mut pieces = vec![Vec::new()];
            for byte in bytes.iter() {
                if arguments.test(context, 0, Value::Int(i64::from(*byte)))? {
                    pieces.push(Vec::new());
                } else if let Some(piece) = pieces.last_mut() {
                    piece.push(*byte);
                }
            }
            gather(pieces.into_iter().map(|piece| Ok(Value::Bytes(piece.into()))))
        }
        Value::Array(items) => {
            let mut pieces = vec![Vec::new()];
            for item in items.iter() {
                if arguments.test(context, 0, item.clone())? {
                    pieces.push(Vec::new());
                } else if let Some(piece) = pieces.last_mut() {
                    piece.push(item.clone());
                }
            }
            Ok(Value::array(pieces.into_iter().map(Value::array).collect()))
        }
        other => Err(Failure::expected("string or array", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("a//b/./c/..", "a/b"),
            ("../../a", "../../a"),
            ("/..", "/"),
            ("a/..", "."),
            ("/a/../../b/", "/b"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn slugs() {
        for (text, language, expected) in [
            ("  --Hello,   World--  ", "en", "hello-world"),
            ("mail@home", "sv", "mailsnabel-ahome"),
            ("影師", "en", "ying-shi"),
            ("It's “fine”", "en", "its-fine"),
            ("", "en", ""),
            ("Ünï", "tr", "uni"),
        ] {
            assert_eq!(slug(text, language).unwrap(), expected, "{text}");
        }
    }
}

//! Methods for HTML.

use super::receive::{array, like, text};
use super::{Example, Kind, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated};

const CHAPTER: &str = "Text";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(
        CHAPTER,
        "unescape_html",
        "Text with the entities of HTML resolved, as `&lt;`, `&aacute;` or `&#225;`.",
        |_, value, _| {
            let plain = html_escape::decode_html_entities(&*text(&value)?).into_owned();
            Ok(like(&value, plain))
        },
    )
    .examples(&[Example(
        "root = this.unescape_html()",
        r#""a &lt; b &amp;&aacute;&#225;&#xe1; &what;""#,
        r#""a < b &ááá &what;""#,
    )]),
    Spec::method(
        CHAPTER,
        "strip_html",
        "Text without the tags of HTML, its comments, scripts and styles.",
        strip,
    )
    .parameters(&[Parameter::optional(
        "preserve",
        Kind::Any,
        "An array of the names of elements whose tags are kept, without their attributes.",
    )])
    .examples(&[
        Example(
            "root = this.strip_html()",
            r#""<p>a <b class='x'>bold</b> word<br/></p>""#,
            r#""a bold word""#,
        ),
        Example(
            r#"root = this.strip_html(["p"])"#,
            r#""<p id=1>a <b>bold</b> word</p>""#,
            r#""<p>a bold word</p>""#,
        ),
    ]),
];

fn strip(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let mut preserved = Vec::new();
    if arguments.is_given(0) {
        for name in array(arguments.value(context, 0)?)?.iter() {
            preserved.push(text(name)?.to_lowercase());
        }
    }
    let text = text(&value)?;
    context.budget.step((text.len() as u64).saturating_mul(preserved.len() as u64) / 100)?;
    Ok(like(&value, stripped(&text, &preserved)))
}

/// The text without tags. It goes over the text once.
fn stripped(text: &str, preserved: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("<!--") {
            rest = after.find("-->").map_or("", |end| &after[end + 3..]);
            continue;
        }
        let after = &rest[1..];
        let closing = after.starts_with('/');
        let name_from = after.strip_prefix('/').unwrap_or(after);
        if !name_from.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '!' | '?')) {
            // A `<` that begins no tag is text.
            out.push_str("&lt;");
            rest = after;
            continue;
        }
        let name: String = name_from.chars().take_while(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        let end = tag_end(after);
        let whole = &after[..end];
        rest = after.get(end + 1..).unwrap_or("");
        if preserved.contains(&name) {
            let slash = if closing { "/" } else { "" };
            let alone = if whole.ends_with('/') && !closing { "/" } else { "" };
            out.push_str(&format!("<{slash}{name}{alone}>"));
        } else if !closing && matches!(&*name, "script" | "style") && !whole.ends_with('/') {
            rest = after_element(rest, &name);
        }
    }
    out.push_str(rest);
    out
}

/// Where a tag's `>` stands, or the end; those within quotes do not count.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// What follows the closing tag of a script or style.
fn after_element<'t>(text: &'t str, name: &str) -> &'t str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return rest.find('>').map_or("", |end| &rest[end + 1..]);
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::stripped;

    #[test]
    fn tags_go_and_text_stays() {
        for (html, expected) in [
            ("plain", "plain"),
            ("1 < 2 <b>x</b>", "1 &lt; 2 x"),
            ("a<!-- <b> -->b", "ab"),
            ("a<!-- no end", "a"),
            ("<a title='>'>x</a>", "x"),
            ("a<SCRIPT>alert(1)</b></Script >b", "ab"),
            ("a<style>p{}", "a"),
            ("<!DOCTYPE html><p>ä", "ä"),
            ("cut <b", "cut "),
            ("<", "&lt;"),
        ] {
            assert_eq!(stripped(html, &[]), expected, "{html}");
        }
        assert_eq!(stripped("<P x=1>a<br/><i>b</i></P>", &["p".into(), "br".into()]), "<p>a<br/>b</p>");
    }
}

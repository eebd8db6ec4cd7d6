//! XML in and out: attributes as fields that begin with `-`, text beside other content as `#text`, repeated elements as
//! arrays.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::receive::{bytes, object};
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure};
use crate::{Object, Text, Value};

/// How deeply elements may nest.
const MAX_DEPTH: usize = 100;

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(
        "Parsing",
        "parse_xml",
        "The value of an XML document; comments and instructions are left out.",
        |context, value, arguments| {
            let cast = arguments.boolean(context, 0)?;
            parse(&bytes(&value)?, cast)
                .map_err(|why| Failure::new(format!("failed to parse value as XML: {why}")))
        },
    )
    .parameters(&[Parameter::with_default(
        "cast",
        Kind::Bool,
        Fixed::Bool(false),
        "Whether texts that are numbers or bools become them.",
    )])
    .examples(&[
        Example(
            "root = this.parse_xml()",
            r#""<a x='1'>t<b>1</b><b>&lt;2</b><c/></a>""#,
            r##"{"a":{"#text":"t","-x":"1","b":["1","<2"],"c":""}}"##,
        ),
        Example(
            "root = this.parse_xml(cast: true)",
            r#""<a x='1'><b>true</b><c>1.5</c></a>""#,
            r#"{"a":{"-x":1,"b":true,"c":1.5}}"#,
        ),
        Example("root = this.parse_xml()", r#""<a><b></a>""#, "error: failed to parse value as XML"),
    ]),
    Spec::method("Parsing", "format_xml", "An object as an XML document, in bytes.", format_xml)
        .parameters(&[
            Parameter::with_default(
                "indent",
                Kind::Text,
                Fixed::Text("    "),
                "What each level is indented with.",
            ),
            Parameter::with_default(
                "no_indent",
                Kind::Bool,
                Fixed::Bool(false),
                "Whether to write one line.",
            ),
        ])
        .examples(&[
            Example(
                "root.x = this.format_xml(no_indent: true).string()",
                r##"{"a":{"-x":"1","#text":"t","b":["<",2],"c":""}}"##,
                r#"{"x":"<a x=\"1\">t<b>&lt;</b><b>2</b><c/></a>"}"#,
            ),
            Example(
                "root.x = this.format_xml(\" \").string()",
                r#"{"a":{"b":{"c":"d"}}}"#,
                r#"{"x":"<a>\n <b>\n  <c>d</c>\n </b>\n</a>"}"#,
            ),
        ]),
];

/// An element that is not closed yet.
struct Open {
    name: Text,
    fields: Object,
    text: String,
}

impl Open {
    fn new(name: Text) -> Open {
        Open { name, fields: Object::new(), text: String::new() }
    }

    fn add(&mut self, name: Text, value: Value) {
        add(&mut self.fields, name, value);
    }

    fn close(mut self, cast: bool) -> (Text, Value) {
        let text = casted(self.text.trim(), cast);
        if self.fields.is_empty() {
            return (self.name, text);
        }
        if text != Value::from("") {
            self.fields.insert("#text", text);
        }
        (self.name, Value::object(self.fields))
    }
}

/// Adds a field; one that is there becomes an array.
fn add(fields: &mut Object, name: Text, value: Value) {
    if !fields.contains_key(&name) {
        fields.insert(name, value);
        return;
    }
    fields.update(&name, |known| match known {
        Value::Array(all) => std::sync::Arc::make_mut(all).push(value),
        first => *first = Value::array(vec![std::mem::replace(first, Value::Null), value]),
    });
}

fn casted(text: &str, cast: bool) -> Value {
    if cast && !text.is_empty() {
        match text {
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        let numeric =
            text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
        if let Ok(number) =
            text.parse::<f64>().map_err(|_| ()).and_then(|number| if numeric { Ok(number) } else { Err(()) })
        {
            return text.parse::<i64>().map_or(Value::Float(number), Value::Int);
        }
    }
    Value::from(text)
}

fn name_of(start: &BytesStart<'_>) -> Text {
    // The prefix of a name space is no part of the name.
    Text::from(start.local_name().as_ref())
}

fn begin(start: &BytesStart<'_>, cast: bool) -> Result<Open, String> {
    let mut element = Open::new(name_of(start));
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|error| error.to_string())?;
        let name = format!("-{}", attribute.key.local_name().as_ref());
        element.add(name.into(), casted(&value, cast));
    }
    Ok(element)
}

fn parse(bytes: &[u8], cast: bool) -> Result<Value, String> {
    let mut reader = Reader::from_reader(bytes);
    let mut open: Vec<Open> = Vec::new();
    let mut root = Object::new();
    loop {
        let done = match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(format!("elements nest more than {MAX_DEPTH} deep"));
                }
                open.push(begin(&start, cast)?);
                continue;
            }
            Event::Empty(start) => begin(&start, cast)?.close(cast),
            Event::End(_) => match open.pop() {
                Some(element) => element.close(cast),
                None => return Err("an element is closed that was not opened".to_owned()),
            },
            Event::Text(text) => {
                add_text(&mut open, &text)?;
                continue;
            }
            Event::CData(text) => {
                add_text(&mut open, &text)?;
                continue;
            }
            Event::GeneralRef(entity) => {
                let entity = format!("&{};", &*entity);
                let text: Cow<'_, str> =
                    quick_xml::escape::unescape(&entity).map_err(|error| error.to_string())?;
                add_text(&mut open, &text)?;
                continue;
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.add(done.0, done.1),
            None => add(&mut root, done.0, done.1),
        }
    }
    if let Some(element) = open.last() {
        return Err(format!("element `{}` is not closed", element.name));
    }
    if root.is_empty() {
        return Err("there is no element".to_owned());
    }
    Ok(Value::object(root))
}

fn add_text(open: &mut [Open], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().trim_start_matches('\u{feff}').is_empty() => {}
        None => return Err("there is text outside of the root element".to_owned()),
    }
    Ok(())
}

fn format_xml(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let indent = arguments.text(context, 0)?;
    let mut writer = Writer {
        indent: if arguments.boolean(context, 1)? { None } else { Some(&indent) },
        out: String::new(),
    };
    let fields = object(value)?;
    match fields.sorted()[..] {
        [(name, value)] if !matches!(value, Value::Array(_)) => writer.element(name, value, 0)?,
        // A document has one root: several fields are put into one.
        _ => writer.element("doc", &Value::Object(fields), 0)?,
    }
    Ok(Value::Bytes(writer.out.into()))
}

struct Writer<'i> {
    indent: Option<&'i str>,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, level: usize) {
        if let Some(indent) = self.indent {
            if !self.out.is_empty() {
                self.out.push('\n');
            }
            self.out.extend(std::iter::repeat_n(indent, level));
        }
    }

    fn element(&mut self, name: &str, value: &Value, level: usize) -> Evaluated<()> {
        let valid = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || !name.chars().all(valid) {
            return Err(Failure::new(format!("{name:?} is no name of an XML element")));
        }
        if let Value::Array(items) = value {
            for item in items.iter() {
                if let Value::Array(_) = item {
                    return Err(Failure::new(format!("element `{name}` holds an array within an array")));
                }
                self.element(name, item, level)?;
            }
            return Ok(());
        }
        self.line(level);
        self.out.push('<');
        self.out.push_str(name);
        let Value::Object(fields) = value else {
            let text = text_of(value);
            if text.is_empty() {
                self.out.push_str("/>");
            } else {
                self.out.push_str(&format!(">{}</{name}>", quick_xml::escape::escape(&*text)));
            }
            return Ok(());
        };
        let fields = fields.sorted();
        for (attribute, value) in &fields {
            if let Some(attribute) = attribute.strip_prefix('-') {
                self.out
                    .push_str(&format!(" {attribute}=\"{}\"", quick_xml::escape::escape(&*text_of(value))));
            }
        }
        let text = fields
            .iter()
            .find(|(name, _)| *name == "#text")
            .map(|(_, value)| text_of(value))
            .unwrap_or_default();
        let children: Vec<_> =
            fields.iter().filter(|(name, _)| !name.starts_with('-') && *name != "#text").collect();
        if children.is_empty() && text.is_empty() {
            self.out.push_str("/>");
            return Ok(());
        }
        self.out.push('>');
        self.out.push_str(&quick_xml::escape::escape(&*text));
        for (child, value) in &children {
            self.element(child, value, level + 1)?;
        }
        if !children.is_empty() {
            self.line(level);
        }
        self.out.push_str(&format!("</{name}>"));
        Ok(())
    }
}

fn text_of(value: &Value) -> String {
    if value.is_absent() { String::new() } else { value.to_text() }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn documents() {
        for (xml, expected) in [
            ("<?xml version=\"1.0\"?><!-- c --><a><![CDATA[<x>]]></a>", r#"{"a":"<x>"}"#),
            (
                "<n:a xmlns:n='u' n:b='&amp;&#65;'>&gt; 1</n:a>",
                r##"{"a":{"#text":"> 1","-b":"&A","-n":"u"}}"##,
            ),
            ("<a><b/><b x='1'/></a>", r#"{"a":{"b":["",{"-x":"1"}]}}"#),
        ] {
            assert_eq!(parse(xml.as_bytes(), false).unwrap().to_json(), expected, "{xml}");
        }
        let deep = "<a>".repeat(200);
        for xml in ["", "x", "<a>", "</a>", "<a>&what;</a>", "<a b='1' b='2'/>", "<a>\u{1}</b>", &deep] {
            assert!(parse(xml.as_bytes(), false).is_err(), "{xml}");
        }
    }
}

//! XML in and out.

use super::receive::{bytes, object};
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
use crate::formats::xml;
use crate::run::{Arguments, Context, Evaluated, Failure};

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(
        "Parsing",
        "parse_xml",
        "The value of an XML document: elements become fields by their local names, repeated ones arrays, attributes get `-` before their names, text beside attributes or elements becomes `#text`. Comments, instructions and document types are left out, entities other than XML's own five are refused; elements nest at most 100 deep.",
        |context, value, arguments| {
            let cast = arguments.boolean(context, 0)?;
            xml::parse(&bytes(&value)?, cast)
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
            r#""<a x=1><b>true</b><c>1.5</c></a>""#,
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

fn format_xml(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let indent = arguments.text(context, 0)?;
    let indent = if arguments.boolean(context, 1)? { None } else { Some(&*indent) };
    xml::format(&object(value)?, indent).map(|text| Value::Bytes(text.into())).map_err(Failure::new)
}

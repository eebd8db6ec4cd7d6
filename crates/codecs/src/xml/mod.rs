//! XML to JSON (streams contract 3.7).

mod convert;
mod splitter;

use document::Fault;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};

pub(crate) use convert::to_value;
pub(crate) use splitter::{Splitter, documents};

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "xml",
    summary: "Makes JSON of XML: elements become fields by their local names, repeated ones arrays, attributes get `-` before their names, text beside attributes or elements becomes `#text`. Comments, processing instructions and document types are left out, entities other than XML's own five are refused.",
    config: Kind::Object(&[
        Field::new("operator", Kind::Choice(&["", "to_json"]), Default::Text(""), "`to_json`."),
        Field::new(
            "cast",
            Kind::Bool,
            Default::Bool(false),
            "Make numbers and booleans of texts that look so.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    if node.text("operator")? != "to_json" {
        return Err(node.field_fault("operator", "`operator` must be `to_json`"));
    }
    Ok(Box::new(Each(Xml { cast: node.boolean("cast")? })))
}

struct Xml {
    cast: bool,
}

impl Change for Xml {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let value = to_value(message.bytes(), self.cast).map_err(|fault| format!("xml: {fault}"))?;
        message.set_value(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{built, one};

    #[tokio::test]
    async fn documents_become_objects() {
        for (xml, cast, expected) in [
            ("<a>x</a>", false, r#"{"a":"x"}"#),
            ("<a/>", false, r#"{"a":""}"#),
            ("<a k='v'/>", false, r#"{"a":{"-k":"v"}}"#),
            ("<a k='1 &amp; 2'> t </a>", false, r##"{"a":{"#text":"t","-k":"1 & 2"}}"##),
            ("<a><b>1</b><c/><b>2</b></a>", false, r#"{"a":{"b":["1","2"],"c":""}}"#),
            ("<a><b>1</b><b>true</b><b>x</b><b>1.5e3</b></a>", true, r#"{"a":{"b":[1,true,"x",1500]}}"#),
            ("<a k='0'>-7</a>", true, r##"{"a":{"#text":-7,"-k":0}}"##),
            (
                "<?xml version='1.0'?><!DOCTYPE a><!-- c --><a><!-- c -->x<![CDATA[<&>]]>&lt;&#65;</a>",
                false,
                r#"{"a":"x<&><A"}"#,
            ),
            ("<n:a xmlns:n='u'><n:b>1</n:b></n:a>", false, r#"{"a":{"-n":"u","b":"1"}}"#),
        ] {
            let made = one(json!({ "xml": { "operator": "to_json", "cast": cast } }), xml).await;
            assert_eq!(made, expected, "{xml}");
        }
        let deep = "<a>".repeat(1000);
        for (xml, fault) in [
            ("<a>", "ends within `a`"),
            ("<a></b>", "xml: "),
            ("", "no element"),
            ("<a/><b/>", "second document"),
            ("x<a/>", "text outside"),
            ("<a>&custom;</a>", "entity `custom`"),
            (&deep, "deeper than"),
        ] {
            let made = one(json!({ "xml": { "operator": "to_json" } }), xml).await;
            assert!(made.contains(fault) && made.starts_with(xml), "{made}");
        }
        assert!(built(&json!({ "xml": {} })).unwrap_err().contains("`to_json`"));
    }
}

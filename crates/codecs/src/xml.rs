//! XML to JSON (streams contract 3.7).

use bloblang::formats::xml;
use document::Fault;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};

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
        let value = xml::parse(message.bytes(), self.cast).map_err(|fault| format!("xml: {fault}"))?;
        message.set_value(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{built, one};

    #[tokio::test]
    async fn documents_become_objects_or_stay_flagged() {
        let xml = |cast: bool| json!({ "xml": { "operator": "to_json", "cast": cast } });
        assert_eq!(one(xml(false), "<a k='1'>x</a>").await, r##"{"a":{"#text":"x","-k":"1"}}"##);
        assert_eq!(one(xml(true), "<a k='1'>x</a>").await, r##"{"a":{"#text":"x","-k":1}}"##);
        assert_eq!(one(xml(false), "<a>").await, "<a>!xml: the text ends within `a`");
        assert!(built(&json!({ "xml": {} })).unwrap_err().contains("`to_json`"));
    }
}

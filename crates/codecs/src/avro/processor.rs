//! The `avro` processor (streams contract 2.15).

use bloblang::Value;
use document::Fault;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use super::{Schema, Unions};
use crate::each::Change;
use crate::schemas::{SCHEMA_PATH, by_schema};
use crate::values::set_json;

/// Before a datum in single-object encoding, followed by the fingerprint.
const SINGLE: [u8; 2] = [0xc3, 0x01];

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "avro",
    summary: "Converts messages between JSON and Avro. In JSON, unions are `null` or `{\"type\": value}` and bytes are text of the characters U+0000 to U+00FF, as in Avro's own JSON encoding. For messages framed for a schema registry use `schema_registry_decode`.",
    config: Kind::Object(&[
        Field::required("operator", Kind::Choice(&["to_json", "from_json"]), "The direction."),
        Field::new(
            "encoding",
            Kind::Choice(&["textual", "binary", "single"]),
            Default::Text("textual"),
            "The Avro side: its JSON encoding, a bare binary datum, or a datum with the fingerprint of its schema before it.",
        ),
        Field::new("schema", Kind::Text, Default::Text(""), "The schema."),
        SCHEMA_PATH,
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let encoding = match &*node.text("encoding")? {
        "binary" => Encoding::Binary,
        "single" => Encoding::Single,
        _ => Encoding::Textual,
    };
    let to_json = node.text("operator")? == "to_json";
    by_schema(node, context, move |text| Ok(Avro { schema: Schema::parse(text)?, encoding, to_json }))
}

#[derive(Clone, Copy)]
enum Encoding {
    Textual,
    Binary,
    Single,
}

struct Avro {
    schema: Schema,
    encoding: Encoding,
    to_json: bool,
}

impl Avro {
    fn datum(&self, datum: &[u8]) -> Result<Value, String> {
        match self.schema.decode(datum, Unions::Tagged)? {
            (value, []) => Ok(value),
            (_, rest) => Err(format!("{} bytes follow the datum", rest.len())),
        }
    }

    fn read(&self, message: &mut Message) -> Result<(), String> {
        let value = match self.encoding {
            Encoding::Textual => self.checked(message)?,
            Encoding::Binary => self.datum(message.bytes())?,
            Encoding::Single => {
                let bytes = message.bytes();
                let datum = bytes.strip_prefix(&SINGLE[..]).and_then(|rest| rest.split_first_chunk::<8>());
                let (fingerprint, datum) = datum.ok_or("this is not in single-object encoding")?;
                if u64::from_le_bytes(*fingerprint) != self.schema.fingerprint() {
                    return Err("the fingerprint is that of another schema".to_owned());
                }
                self.datum(datum)?
            }
        };
        set_json(message, value);
        Ok(())
    }

    /// The value as the schema reads it back: checked, with defaults, without what the schema does not know.
    fn checked(&self, message: &Message) -> Result<Value, String> {
        let mut datum = Vec::new();
        self.schema.encode(message.value()?, Unions::Tagged, &mut datum)?;
        self.datum(&datum)
    }

    fn write(&self, message: &mut Message) -> Result<(), String> {
        let mut out = Vec::new();
        match self.encoding {
            Encoding::Textual => {
                let value = self.checked(message)?;
                set_json(message, value);
                return Ok(());
            }
            Encoding::Binary => {}
            Encoding::Single => {
                out.extend_from_slice(&SINGLE);
                out.extend_from_slice(&self.schema.fingerprint().to_le_bytes());
            }
        }
        self.schema.encode(message.value()?, Unions::Tagged, &mut out)?;
        message.set_bytes(out);
        Ok(())
    }
}

impl Change for Avro {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let changed = if self.to_json { self.read(message) } else { self.write(message) };
        changed.map_err(|fault| format!("avro: {fault}"))
    }
}

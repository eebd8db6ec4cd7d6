//! The `protobuf` processor (streams contract 3.7).

use document::Fault;
use prost_reflect::MessageDescriptor;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use super::{Form, Types};
use crate::each::{Change, Each};

const fn flag(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Bool, Default::Bool(false), doc)
}

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "protobuf",
    summary: "Converts messages between Protocol Buffers and their canonical JSON, in which numbers of 64 bits are texts and bytes are base64. For messages framed for a schema registry use `schema_registry_decode`.",
    config: Kind::Object(&[
        Field::required("operator", Kind::Choice(&["to_json", "from_json"]), "The direction."),
        Field::required("message", Kind::Text, "The full name of the message, package included."),
        flag(
            "discard_unknown",
            "Whether fields that the message does not know are left out by `from_json`. Otherwise they are faults.",
        ),
        flag(
            "use_proto_names",
            "Whether `to_json` names fields as the `.proto` file does instead of in `lowerCamelCase`.",
        ),
        flag("use_enum_numbers", "Whether `to_json` writes enums as numbers instead of names."),
        flag("emit_unpopulated", "Whether `to_json` writes fields without value, with their defaults."),
        Field::new(
            "import_paths",
            Kind::List(&Kind::Text),
            Default::Texts(&[]),
            "Folders whose `.proto` files are read, with those of the folders in them, when the stream is built, and only where streams may read files. They import each other by their path from the folder. A path may also name one `.proto` file, which others import by this path.",
        ),
        Field::optional(
            "bsr",
            Kind::Refused(
                "schemas are not fetched from a Buf registry, so that a stream starts without it: run `buf export` into a folder and name that in `import_paths`",
            ),
            "Known from the original.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let folders = node.texts("import_paths")?;
    if folders.is_empty() {
        return Err(node.field_fault("import_paths", "`import_paths` must name a folder with `.proto` files"));
    }
    let types = Types::read(&folders, context).map_err(|fault| {
        node.field_fault("import_paths", fault)
            .hint("whoever runs the gate can let streams read files: `streaming.mappings.files`")
    })?;
    let message =
        types.message(&node.text("message")?).map_err(|fault| node.field_fault("message", fault))?;
    let form = Form {
        discard_unknown: node.boolean("discard_unknown")?,
        use_proto_names: node.boolean("use_proto_names")?,
        use_enum_numbers: node.boolean("use_enum_numbers")?,
        emit_unpopulated: node.boolean("emit_unpopulated")?,
    };
    let to_json = node.text("operator")? == "to_json";
    Ok(Box::new(Each(Protobuf { message, form, to_json })))
}

struct Protobuf {
    message: MessageDescriptor,
    form: Form,
    to_json: bool,
}

impl Change for Protobuf {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let made = match self.to_json {
            true => self.form.to_json(&self.message, message.bytes()),
            false => self.form.from_json(&self.message, message.bytes()),
        };
        message.set_bytes(made.map_err(|fault| format!("protobuf: {fault}"))?);
        Ok(())
    }
}

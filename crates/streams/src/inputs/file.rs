//! Reads files of the machine (streams contract 3.12).

use document::Fault;

use crate::build::BuildContext;
use crate::component::Input;
use crate::fields::AUTO_REPLAY_NACKS;
use crate::files::FileSource;
use crate::node::Node;
use crate::registry::{Default, Field, InputSpec, Kind};
use crate::scanners::codec::{CODEC, MAX_BUFFER, scanner_or_codec};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "file",
    summary: "Reads files one after the other, each through a scanner, and ends behind the last one. The metadata `path`, `mod_time` and `mod_time_unix` tell of the file.",
    config: Kind::Object(&[
        Field::required(
            "paths",
            Kind::List(&Kind::Text),
            "The files, in this order. `*`, `?` and `[a-z]` stand for characters of a name, `**` for any number of folders.",
        ),
        Field::optional(
            "scanner",
            Kind::Scanner,
            "Cuts each file into messages; `lines` when it is not written.",
        ),
        CODEC,
        MAX_BUFFER,
        Field::new(
            "delete_on_finish",
            Kind::Bool,
            Default::Bool(false),
            "Whether a file is deleted when all of its messages are delivered.",
        )
        .advanced(),
        AUTO_REPLAY_NACKS,
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let paths = node.texts("paths")?;
    if paths.is_empty() {
        return Err(node.field_fault("paths", "`paths` must name at least one file"));
    }
    let scanner = scanner_or_codec(node, context)?;
    let source = FileSource::new(paths, scanner, node.boolean("delete_on_finish")?, 1);
    context.with_replay(node, source)
}

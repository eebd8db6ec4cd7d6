//! Branches of a workflow that are written as resources.

use document::Fault;

use super::Entry;
use crate::build::{BuildContext, component_config, type_of};
use crate::node::Node;
use crate::processors::branch::{Branch, FIELDS};
use crate::registry::Kind;
use crate::sort::Sort;

impl BuildContext<'_> {
    /// The branch whose label stands at `field`. Each workflow has one of its own.
    pub(crate) fn branch_resource(&mut self, field: &Node<'_>) -> Result<Branch, Fault> {
        let label = field.as_text()?.into_owned();
        let Some(node) = self.resources.processors.get(&label).cloned() else {
            return Err(field
                .fault(format!("there is no branch `{label}`, and no processor resource of this label"))
                .hint("add it to `branches` or to `processor_resources`"));
        };
        if type_of(node.value()) != Ok("branch") {
            return Err(field.fault(format!("the processor resource `{label}` is no `branch`")));
        }
        let key = (Sort::Processor, label);
        if matches!(self.resources.entries.get(&key), Some(Entry::Building)) {
            return Err(field
                .fault(format!("the processor `{}` refers to itself", key.1))
                .hint("break the circle"));
        }
        let before = self.resources.entries.insert(key.clone(), Entry::Building);
        let built = Branch::build(&component_config(&node, "branch", Kind::Object(FIELDS)), self);
        if let Some(before) = before {
            self.resources.entries.insert(key, before);
        }
        built
    }
}

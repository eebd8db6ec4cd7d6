//! Puts in place of templates what they make, wherever a component can stand.

use document::{Fault, pointer_join};
use serde_json::Value as Json;

use super::Templates;
use crate::build::type_of;
use crate::registry::{Kind, Registry};
use crate::sort::Sort;
use crate::stream_fields::stream_fields;

/// Templates may be made of templates, so deep.
const DEPTH: usize = 16;
/// So many of them in one configuration.
const MOST: usize = 10_000;
/// Deepest nesting of what is looked into; lint tells of what is deeper.
const NESTED: usize = 256;

/// Replaces every template in the configuration of a stream, which stands at `pointer` of its document.
pub(crate) fn expand(
    templates: &Templates,
    registry: &Registry,
    alone: bool,
    value: &mut Json,
    pointer: &str,
) -> Vec<Fault> {
    let mut expander = Expander { templates, registry, faults: Vec::new(), made: 0 };
    expander.value(Kind::Object(stream_fields(alone)), value, pointer, 0, NESTED);
    expander.faults
}

struct Expander<'a> {
    templates: &'a Templates,
    registry: &'a Registry,
    faults: Vec<Fault>,
    made: usize,
}

impl Expander<'_> {
    /// `depth`: how many templates stand around it; `left`: how much deeper is looked.
    fn value(&mut self, kind: Kind, value: &mut Json, pointer: &str, depth: usize, left: usize) {
        let Some(left) = left.checked_sub(1) else { return };
        let sort = match kind {
            Kind::List(kind) => {
                for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                    self.value(*kind, item, &pointer_join(pointer, &index.to_string()), depth, left);
                }
                return;
            }
            Kind::Map(kind) => {
                for (key, member) in value.as_object_mut().into_iter().flatten() {
                    self.value(*kind, member, &pointer_join(pointer, key), depth, left);
                }
                return;
            }
            Kind::Object(fields) => {
                for (key, member) in value.as_object_mut().into_iter().flatten() {
                    if let Some(field) = fields.iter().find(|field| field.name == key) {
                        self.value(field.kind, member, &pointer_join(pointer, key), depth, left);
                    }
                }
                return;
            }
            Kind::Resources(sort) => {
                for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                    self.component(sort, item, &pointer_join(pointer, &index.to_string()), depth, left);
                }
                return;
            }
            Kind::Input => Sort::Input,
            Kind::Processor => Sort::Processor,
            Kind::Output => Sort::Output,
            Kind::Buffer => Sort::Buffer,
            Kind::Scanner => Sort::Scanner,
            _ => return,
        };
        self.component(sort, value, pointer, depth, left);
    }

    fn component(&mut self, sort: Sort, value: &mut Json, pointer: &str, depth: usize, left: usize) {
        // What is no component is lint's matter.
        let Ok(name) = type_of(value).map(str::to_owned) else { return };
        match self.registry.config(sort, &name) {
            Some(config) => {
                if let Some(written) = value.get_mut(&name) {
                    self.value(config, written, &pointer_join(pointer, &name), depth, left);
                }
            }
            None => self.template(sort, &name, value, pointer, depth, left),
        }
        if name != "processors"
            && let Some(beside) = value.get_mut("processors")
        {
            self.value(
                Kind::List(&Kind::Processor),
                beside,
                &pointer_join(pointer, "processors"),
                depth,
                left,
            );
        }
    }

    fn template(
        &mut self,
        sort: Sort,
        name: &str,
        value: &mut Json,
        pointer: &str,
        depth: usize,
        left: usize,
    ) {
        let Some(template) = self.templates.get(sort, name) else { return };
        let at = pointer_join(pointer, name);
        self.made += 1;
        if depth >= DEPTH || self.made > MOST {
            let text = format!("template `{name}` is made of templates without end");
            self.faults.push(Fault::error(at, text));
            return;
        }
        let mut made = match template.apply(value.get(name).unwrap_or(&Json::Null), &at) {
            Ok(made) => made,
            Err(faults) => return self.faults.extend(faults),
        };
        // Inside, places are those of the template's use: that is what somebody wrote.
        self.component(sort, &mut made, &at, depth + 1, left);
        let (Some(members), Some(outer)) = (made.as_object_mut(), value.as_object_mut()) else { return };
        if let Some(label) = outer.remove("label") {
            members.insert("label".to_owned(), label);
        }
        // The template's own processors come first: those beside its use work on what it gives.
        if let Some(Json::Array(beside)) = outer.remove("processors") {
            let own = members.entry("processors").or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(own) = own {
                match sort {
                    Sort::Output => own.splice(0..0, beside).for_each(drop),
                    _ => own.extend(beside),
                }
            }
        }
        *value = made;
    }
}

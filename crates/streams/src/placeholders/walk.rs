//! Every value of a stream's configuration with the kind of its field.

use document::pointer_join;
use serde_json::Value as Json;

use crate::build::type_of;
use crate::registry::Kind;
use crate::settings::Settings;
use crate::sort::Sort;
use crate::stream_fields::stream_fields;

/// Deepest nesting that is looked into; lint tells of what is deeper.
const DEPTH: usize = 256;

/// Shows every value that holds no others. What no table describes is of any kind.
pub(super) fn walk(
    settings: &Settings,
    config: &mut Json,
    pointer: &str,
    visit: &mut dyn FnMut(Kind, &mut Json, &str),
) {
    Walk { settings, visit }.value(Kind::Object(stream_fields(settings.alone)), config, pointer, DEPTH);
}

struct Walk<'a> {
    settings: &'a Settings,
    visit: &'a mut dyn FnMut(Kind, &mut Json, &str),
}

impl Walk<'_> {
    fn value(&mut self, kind: Kind, value: &mut Json, pointer: &str, left: usize) {
        let Some(left) = left.checked_sub(1) else { return };
        let sort = match kind {
            Kind::Input => Some(Sort::Input),
            Kind::Processor => Some(Sort::Processor),
            Kind::Output => Some(Sort::Output),
            Kind::Buffer => Some(Sort::Buffer),
            Kind::Scanner => Some(Sort::Scanner),
            Kind::Metrics => Some(Sort::Metrics),
            Kind::Tracer => Some(Sort::Tracer),
            _ => None,
        };
        if let Some(sort) = sort
            && type_of(value).is_ok()
        {
            return self.component(sort, value, pointer, left);
        }
        match (kind, value) {
            (_, Json::Array(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let at = pointer_join(pointer, &index.to_string());
                    match kind {
                        Kind::List(kind) => self.value(*kind, item, &at, left),
                        Kind::Resources(sort) => self.component(sort, item, &at, left),
                        _ => self.value(Kind::Any, item, &at, left),
                    }
                }
            }
            (_, Json::Object(members)) => {
                for (key, member) in members {
                    let kind = match kind {
                        Kind::Metrics if key == "mapping" => Kind::Bloblang,
                        Kind::Map(kind) => *kind,
                        Kind::Object(fields) => fields
                            .iter()
                            .find(|field| field.name == key)
                            .map_or(Kind::Any, |field| field.kind),
                        _ => Kind::Any,
                    };
                    self.value(kind, member, &pointer_join(pointer, key), left);
                }
            }
            (_, value) => (self.visit)(kind, value, pointer),
        }
    }

    fn component(&mut self, sort: Sort, value: &mut Json, pointer: &str, left: usize) {
        let name = type_of(value).map(str::to_owned).unwrap_or_default();
        let own = self.settings.registry.config(sort, &name);
        for (key, member) in value.as_object_mut().into_iter().flatten() {
            let kind = match (own, key.as_str()) {
                (Some(own), key) if key == name || key == "plugin" => own,
                (_, "mapping") if sort == Sort::Metrics => Kind::Bloblang,
                (_, "processors") => Kind::List(&Kind::Processor),
                _ => Kind::Any,
            };
            self.value(kind, member, &pointer_join(pointer, key), left);
        }
    }
}

//! How much may be sent (contract 4.4 row 11).

use crate::AtPath;
use crate::at_path::{Methods, classic_for, oas, write_classic};
use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// `size_limits` of `extended_paths`.
pub(crate) const CLASSIC: &[Field] = &[acts("path"), acts("method"), acts("disabled"), acts("size_limit")];
/// `requestSizeLimit` of an operation, or of all of them.
pub(crate) const OAS: &[Field] = &[acts("enabled"), acts("value")];

/// How many bytes the body of a request may have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sizes {
    /// For every path; `None` for any number.
    pub every: Option<u64>,
    /// For single ones, beside that.
    pub endpoints: Box<[AtPath<u64>]>,
}

impl Sizes {
    pub(crate) fn classic(
        version: &Section<'_>,
        extended: &Section<'_>,
        ignore_case: bool,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let every = bytes(version, "global_size_limit", faults);
        let off = version.flag("global_size_limit_disabled", faults);
        let endpoints =
            classic_for(extended, "size_limits", Methods::Guarded, ignore_case, faults, |entry, faults| {
                bytes(entry, "size_limit", faults)
            });
        Self { every: every.filter(|_| !off), endpoints }
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let every = middleware.section("global", faults).section("requestSizeLimit", faults);
        let endpoints =
            oas(root, middleware, "requestSizeLimit", faults, |entry, faults| bytes(entry, "value", faults));
        Self {
            every: if every.flag("enabled", faults) { bytes(&every, "value", faults) } else { None },
            endpoints,
        }
    }

    pub(crate) fn write_classic(&self, version: &mut Value) {
        version["global_size_limit"] = json!(self.every.unwrap_or_default());
        version["global_size_limit_disabled"] = self.every.is_none().into();
        write_classic(&self.endpoints, "size_limits", version, |limit, entry| {
            entry["size_limit"] = json!(limit)
        });
    }
}

/// Whole bytes; 0 and none mean no limit.
fn bytes(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<u64> {
    let number = holder.number(key, faults);
    if number < 0.0 || number.fract() != 0.0 || number > 9e15 {
        faults.push(Fault::error(
            holder.at(key),
            format!("`{key}` must be a whole number of bytes, 0 for any number"),
        ));
        return None;
    }
    (number > 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_whole_numbers() {
        for (value, every, faulty) in [
            (json!({}), None, 0),
            (json!({"global_size_limit": 10}), Some(10), 0),
            (json!({"global_size_limit": 10, "global_size_limit_disabled": true}), None, 0),
            (json!({"global_size_limit": -1}), None, 1),
            (json!({"global_size_limit": 1.5}), None, 1),
        ] {
            let mut faults = Vec::new();
            let version = Section::root(&value, &mut faults);
            let extended = version.section("extended_paths", &mut faults);
            let sizes = Sizes::classic(&version, &extended, false, &mut faults);
            assert_eq!((sizes.every, faults.len()), (every, faulty), "{value}");
        }
    }
}

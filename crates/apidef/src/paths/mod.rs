//! What an API says of its paths (contract 2.5, 3.2, 4.3): which may be called, which are answered here, how much may be
//! sent to them, what is recorded of them; one a file.

mod lists;
mod reply;
mod sizes;
mod tracking;

pub use lists::Lists;
pub use reply::Reply;
pub use sizes::Sizes;
pub use tracking::Tracking;

pub(crate) use lists::{CLASSIC_LIST, OAS_INTERNAL, OAS_LIST};
pub(crate) use reply::CLASSIC as CLASSIC_REPLY;
pub(crate) use sizes::{CLASSIC as CLASSIC_SIZE, OAS as OAS_SIZE};
pub(crate) use tracking::{CLASSIC as CLASSIC_TRACKED, OAS as OAS_TRACKED};

use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// What an API says of its paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Paths {
    /// Which may be called, and which are answered at once.
    pub lists: Lists,
    /// How much may be sent.
    pub sizes: Sizes,
    /// What is recorded.
    pub tracking: Tracking,
}

impl Paths {
    /// Of a version of a classic definition.
    pub(crate) fn classic(version: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let used = version.flag("use_extended_paths", faults);
        let none = Section { object: None, pointer: version.at("extended_paths") };
        let extended = if used { version.section("extended_paths", faults) } else { none };
        let ignore_case = version.flag("ignore_endpoint_case", faults);
        let mut lists = Lists::classic(&extended, ignore_case, faults);
        if !used {
            lists.plain(&version.section("paths", faults), ignore_case, faults);
        }
        Self {
            lists,
            sizes: Sizes::classic(version, &extended, ignore_case, faults),
            tracking: Tracking::classic(&extended, ignore_case, faults),
        }
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        Self {
            lists: Lists::oas(root, middleware, faults),
            sizes: Sizes::oas(root, middleware, faults),
            tracking: Tracking::oas(root, middleware, faults),
        }
    }

    /// What a version of a classic definition is to say.
    pub(crate) fn write_classic(&self, version: &mut Value) {
        self.lists.write_classic(version);
        self.sizes.write_classic(version);
        self.tracking.write_classic(version);
    }
}

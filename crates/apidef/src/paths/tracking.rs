//! What is recorded of single paths (contract 8.8).

use crate::AtPath;
use crate::at_path::{classic, oas, write_classic};
use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// `track_endpoints` and `do_not_track_endpoints` of `extended_paths`.
pub(crate) const CLASSIC: &[Field] = &[acts("path"), acts("method"), acts("disabled")];
/// `trackEndpoint` and `doNotTrackEndpoint` of an operation.
pub(crate) const OAS: &[Field] = &[acts("enabled")];

/// What is recorded of single paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tracking {
    /// Recorded as their pattern.
    pub tracked: Box<[AtPath<()>]>,
    /// Not recorded.
    pub untracked: Box<[AtPath<()>]>,
}

impl Tracking {
    pub(crate) fn classic(extended: &Section<'_>, ignore_case: bool, faults: &mut Vec<Fault>) -> Self {
        let mut list = |key| classic(extended, key, ignore_case, faults, |_, _| Some(()));
        Self { tracked: list("track_endpoints"), untracked: list("do_not_track_endpoints") }
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut list = |key| oas(root, middleware, key, faults, |_, _| Some(()));
        Self { tracked: list("trackEndpoint"), untracked: list("doNotTrackEndpoint") }
    }

    pub(crate) fn write_classic(&self, version: &mut Value) {
        write_classic(&self.tracked, "track_endpoints", version, |(), _| {});
        write_classic(&self.untracked, "do_not_track_endpoints", version, |(), _| {});
    }
}

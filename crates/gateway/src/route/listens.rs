//! Where an API listens, where that is a pattern.

use apidef::{Api, Template};

use super::table::ends_segment;

/// The patterns of one API, compiled once.
#[derive(Debug, Default)]
pub(crate) struct Listens {
    path: Option<Box<Template>>,
    domain: Option<Box<Template>>,
}

impl Listens {
    pub(crate) fn of(api: &Api) -> Result<Self, String> {
        let domain = api.domain.as_deref().map_or(Ok(None), Template::of_domain)?;
        Ok(Self { path: Template::of_path(&api.listen_path)?.map(Box::new), domain: domain.map(Box::new) })
    }

    /// The listen path.
    pub(crate) fn path(&self) -> Option<&Template> {
        self.path.as_deref()
    }

    /// How much of a path the listen path covers, up to the end of a segment; `None` where it is no pattern.
    pub(crate) fn covered(&self, path: &str) -> Option<usize> {
        let template = self.path()?;
        Some(template.covers(path).filter(|end| ends_segment(path, *end)).unwrap_or_default())
    }

    /// Whether the domain is a pattern that this host fits.
    pub(crate) fn is_domain_of(&self, host: &str) -> bool {
        self.domain.as_ref().is_some_and(|domain| domain.fits(host))
    }
}

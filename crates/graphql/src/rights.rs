//! Which types and fields a caller may ask for, and how deep (contract 10, "Field access" and "Depth").

use std::collections::{HashMap, HashSet};

use crate::check::Checked;
use crate::error::Problem;

/// Names of types and of fields of them; `*` is every field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(HashMap<Box<str>, HashSet<Box<str>>>);

impl Names {
    /// Of a list of types with their fields.
    pub fn new<'n, F: IntoIterator<Item = &'n str>>(list: impl Iterator<Item = (&'n str, F)>) -> Self {
        let mut names: HashMap<Box<str>, HashSet<Box<str>>> = HashMap::new();
        for (kind, fields) in list {
            names.entry(kind.into()).or_default().extend(fields.into_iter().map(Box::from));
        }
        Self(names)
    }

    fn holds(&self, kind: &str, field: &str) -> bool {
        self.0.get(kind).is_some_and(|fields| fields.contains("*") || fields.contains(field))
    }
}

/// What one caller may ask of one API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// What may not be asked for; counts where nothing is `allowed`.
    pub restricted: Names,
    /// When not empty, only this.
    pub allowed: Names,
    /// Depth; 0 and less = any.
    pub depth: i64,
    /// Depth below fields at the root, by type and field; 0 and less = any.
    pub below: HashMap<(Box<str>, Box<str>), i64>,
    /// The schema may not be asked for.
    pub no_introspection: bool,
}

fn restricted(kind: &str, field: &str) -> Problem {
    Problem::one(format!("field: {field} is restricted on type: {kind}"))
}

impl Rights {
    /// Whether everything may be asked for, however deep.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what the caller may not ask for.
    pub fn admit(&self, checked: &Checked) -> Result<(), Problem> {
        if self.no_introspection && checked.introspects() {
            return Err(Problem::Introspection);
        }
        self.admit_depth(checked)?;
        let listed = !self.allowed.0.is_empty();
        if !listed && self.restricted.0.is_empty() {
            return Ok(());
        }
        for (kind, field) in checked.fields() {
            // What the language itself has is the matter of introspection.
            if kind.starts_with("__") || field.starts_with("__") {
                continue;
            }
            let allowed =
                if listed { self.allowed.holds(kind, field) } else { !self.restricted.holds(kind, field) };
            if !allowed {
                return Err(restricted(kind, field));
            }
        }
        // Whoever has the interface gets what the object is not to tell.
        match checked.reached().find(|(kind, field)| !listed && self.restricted.holds(kind, field)) {
            Some((kind, field)) => Err(restricted(kind, field)),
            None => Ok(()),
        }
    }

    fn admit_depth(&self, checked: &Checked) -> Result<(), Problem> {
        if checked.is_introspection() {
            return Ok(());
        }
        let cost = checked.cost();
        let exceeds =
            |depth: u64, limit: i64| u64::try_from(limit).is_ok_and(|limit| limit > 0 && depth > limit);
        if self.below.is_empty() {
            return if exceeds(cost.depth, self.depth) { Err(Problem::Depth) } else { Ok(()) };
        }
        for root in &cost.roots {
            let own = self.below.get(&(checked.root_type().into(), root.name.as_str().into()));
            let too_deep = match own {
                Some(limit) => exceeds(root.below, *limit),
                None => exceeds(root.below + 1, self.depth),
            };
            if too_deep {
                return Err(Problem::Depth);
            }
        }
        Ok(())
    }
}

//! The files that a mapping is made of.

use crate::fault::Imported;
use crate::syntax::place::{Fault, Span};
use crate::syntax::tree::{Name, Program};
use crate::{Environment, ParseError, syntax};

/// How many files one mapping may be made of.
const MAX_FILES: usize = 100;
/// How many files may import each other in a row.
const MAX_CHAIN: usize = 20;

/// One text and its tree.
#[derive(Debug)]
pub(crate) struct Unit {
    /// The file's name; none for the text that was given.
    pub(crate) file: Option<String>,
    pub(crate) text: String,
    pub(crate) tree: Program,
    /// Where the text that was given imports this file, if only through others.
    import: Span,
}

/// All texts of a mapping: the given one first, then the files that it imports.
#[derive(Debug, Default)]
pub(crate) struct Units {
    all: Vec<Unit>,
    /// The text whose statements are the mapping.
    main: usize,
    faults: Vec<(usize, Fault)>,
    /// The files that are being read, each with the unit that it became.
    chain: Vec<usize>,
}

impl Units {
    /// Parses a text and the files that it imports.
    pub(crate) fn load(env: &Environment, text: &str) -> Units {
        let mut units = Units::default();
        units.add(env, None, text.to_owned(), Span::default());
        // Follow the files that stand for the whole mapping.
        let mut main = 0;
        while let Some(whole) = units.all.get(main).and_then(|unit| unit.tree.whole.clone()) {
            match units.resolve(env, main, &whole) {
                Some(next) if next > main => main = next,
                _ => break,
            }
        }
        units.main = main;
        units
    }

    pub(crate) fn all(&self) -> &[Unit] {
        &self.all
    }

    pub(crate) fn main(&self) -> usize {
        self.main
    }

    pub(crate) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The faults of these texts with their places, in the order in which they are read.
    pub(crate) fn locate(self, more: Vec<(usize, Fault)>) -> Vec<ParseError> {
        let Units { all, mut faults, .. } = self;
        // What is missing because of a syntax fault is not worth a fault of its own.
        if faults.is_empty() {
            faults = more;
        }
        let place = |unit: usize, fault: &Fault| {
            let import = all.get(unit).map_or(Span::default(), |unit| unit.import);
            if unit == 0 { fault.span.start } else { import.start }
        };
        faults.sort_by_key(|(unit, fault)| (place(*unit, fault), *unit, fault.span.start));
        let located = faults.into_iter().filter_map(|(index, fault)| {
            let unit = all.get(index)?;
            let found = fault.locate(&unit.text);
            let Some(file) = unit.file.clone() else { return Some(found) };
            let import = Fault::new(unit.import, "").locate(&all.first()?.text);
            let ParseError { line, column, length, message, hint, source, .. } = found;
            let imported = Some(Imported { file, line, column, length });
            Some(ParseError { message, hint, source, imported, ..import })
        });
        located.collect()
    }

    /// Parses a text, then what it imports; gives the unit that it became.
    fn add(&mut self, env: &Environment, file: Option<String>, text: String, import: Span) -> usize {
        let (tree, faults) = syntax::parser::parse(&text);
        let index = self.all.len();
        self.faults.extend(faults.into_iter().map(|fault| (index, fault)));
        let paths: Vec<Name> = tree.imports.iter().chain(&tree.whole).cloned().collect();
        let whole = tree.whole.is_some();
        self.all.push(Unit { file, text, tree, import });
        self.chain.push(index);
        let mut seen: Vec<usize> = Vec::new();
        for path in paths {
            let Some(unit) = self.import(env, index, &path) else { continue };
            if seen.contains(&unit) {
                self.fault(index, path.span, format!("file `{}` is imported twice", path.text));
            } else if !whole && !self.has_maps(unit) {
                self.fault(index, path.span, format!("there are no maps to import in file `{}`", path.text));
            }
            seen.push(unit);
        }
        self.chain.pop();
        index
    }

    /// The unit of a file that another one names; none, and a fault, when it cannot be had.
    fn import(&mut self, env: &Environment, by: usize, path: &Name) -> Option<usize> {
        let within = self.all.get(by).and_then(|unit| unit.file.as_deref());
        let file = match env.open(&path.text, within) {
            Ok(file) => file,
            Err(why) => {
                self.fault(by, path.span, format!("cannot import file `{}`: {why}", path.text));
                return None;
            }
        };
        if let Some(known) = self.position(&file.name) {
            if self.chain.contains(&known) {
                let names = self.chain.iter().filter_map(|unit| self.all.get(*unit)?.file.as_deref());
                let chain = names.chain([&*file.name]).collect::<Vec<_>>().join(" -> ");
                self.fault(by, path.span, format!("file `{}` imports itself: {chain}", path.text));
                return None;
            }
            return Some(known);
        }
        if self.all.len() > MAX_FILES || self.chain.len() > MAX_CHAIN {
            let message = format!("a mapping imports at most {MAX_FILES} files, {MAX_CHAIN} in a row");
            self.fault(by, path.span, message);
            return None;
        }
        let Ok(text) = String::from_utf8(file.content.into()) else {
            self.fault(by, path.span, format!("file `{}` is not UTF-8 text", path.text));
            return None;
        };
        let import = if by == 0 { path.span } else { self.all.get(by).map_or(path.span, |unit| unit.import) };
        Some(self.add(env, Some(file.name), text, import))
    }

    /// The unit of a file that was imported before.
    fn resolve(&self, env: &Environment, by: usize, path: &Name) -> Option<usize> {
        let within = self.all.get(by).and_then(|unit| unit.file.as_deref());
        self.position(&env.open(&path.text, within).ok()?.name)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|unit| unit.file.as_deref() == Some(name))
    }

    /// Whether a file defines maps, or imports a file that does.
    fn has_maps(&self, unit: usize) -> bool {
        // Files that a file imports come right after it, and it would be at fault itself if they had no maps.
        self.all.get(unit).is_some_and(|unit| {
            !unit.tree.maps.is_empty() || !unit.tree.imports.is_empty() || unit.tree.whole.is_some()
        })
    }

    fn fault(&mut self, unit: usize, span: Span, message: String) {
        if self.faults.len() < syntax::MAX_FAULTS {
            self.faults.push((unit, Fault::new(span, message)));
        }
    }
}

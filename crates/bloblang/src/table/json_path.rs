//! JSONPath (RFC 9535). Expressions are parsed by a library; they are evaluated here, where each node counts as a step:
//! a few `..` find more than a document has.

use std::borrow::Cow;
use std::collections::HashMap;

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Literal, Segment, Selector, SingularQuery,
    SingularQuerySegment, Test, TestFunction,
};
use regex::Regex;

use super::receive::gather;
use super::{Example, Kind, Makes, Parameter, Spec};
use crate::Value;
use crate::run::failure::short;
use crate::run::patterns::compile_regex;
use crate::run::{Arguments, Budget, Context, Evaluated, Failure, Prepared};

/// Longest expression, in bytes.
const MAX_EXPRESSION: usize = 4096;
/// How many patterns of one evaluation are kept.
const MOST_REGEXES: usize = 16;
/// How many steps compiling a pattern is worth.
const COMPILING: u64 = 2000;

pub(crate) static TABLE: &[Spec] = &[Spec::method(
    "Objects",
    "json_path",
    "What a JSONPath expression finds (RFC 9535): one value when the path can only be of one, otherwise an array of all.",
    json_path,
)
.makes(Makes::Shell)
.prepare(|_, arguments| {
    if let Some(text) = arguments.fixed_text(0) {
        let _ = arguments.memory.prepared.set(Prepared::JsonPath(Box::new(parse(text)?)));
    }
    Ok(())
})
.parameters(&[Parameter::required("expression", Kind::Text, "The expression.")])
.examples(&[
    Example(r#"root = this.json_path("$..name")"#, r#"{"a":{"name":"x"},"b":[{"name":"y"}]}"#, r#"["x","y"]"#),
    Example(r#"root = this.json_path("$.a[?(@.n > 1)]")"#, r#"{"a":[{"n":1},{"n":2}]}"#, r#"[{"n":2}]"#),
    Example(r#"root = this.json_path("$.a[0].n")"#, r#"{"a":[{"n":1}]}"#, "1"),
    Example(r#"root = this.json_path("$.b")"#, r#"{"a":1}"#, "error: there is no value at $.b"),
])];

fn parse(text: &str) -> Evaluated<JpQuery> {
    if text.len() > MAX_EXPRESSION {
        return Err(Failure::new(format!("the expression is longer than {MAX_EXPRESSION} bytes")));
    }
    jsonpath_rust::parser::parse_json_path(text)
        .map_err(|error| Failure::new(format!("failed to parse JSONPath `{}`: {error}", short(text))))
}

/// Whether a path can be of one value only.
fn is_single(query: &JpQuery) -> bool {
    let single =
        |segment: &Segment| matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)));
    query.segments.iter().all(single)
}

fn json_path(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let parsed;
    let query = match arguments.memory.prepared.get() {
        Some(Prepared::JsonPath(query)) => query,
        _ => {
            let text = arguments.text(context, 0)?;
            context.budget.step(COMPILING + text.len() as u64)?;
            parsed = Box::new(parse(&text)?);
            &parsed
        }
    };
    let mut search = Search { root: &value, budget: &mut context.budget, regexes: HashMap::new() };
    let found = search.nodes(&value, &query.segments)?;
    if is_single(query) {
        let text = || short(arguments.fixed_text(0).unwrap_or("the path")).into_owned();
        return found.first().map_or_else(
            || Err(Failure::new(format!("there is no value at {}", text()))),
            |found| Ok((*found).clone()),
        );
    }
    gather(found.into_iter().map(|found| Ok(found.clone())))
}

/// One evaluation.
struct Search<'d, 'b> {
    root: &'d Value,
    budget: &'b mut Budget,
    regexes: HashMap<(String, bool), Option<Regex>>,
}

type Nodes<'d> = Vec<&'d Value>;

impl<'d> Search<'d, '_> {
    /// What segments find from a node on.
    fn nodes(&mut self, from: &'d Value, segments: &[Segment]) -> Evaluated<Nodes<'d>> {
        let mut nodes = vec![from];
        for segment in segments {
            let mut next = Vec::new();
            for node in nodes {
                self.segment(node, segment, &mut next)?;
            }
            nodes = next;
        }
        Ok(nodes)
    }

    fn segment(&mut self, node: &'d Value, segment: &Segment, found: &mut Nodes<'d>) -> Evaluated<()> {
        match segment {
            Segment::Selector(selector) => self.select(node, selector, found),
            Segment::Selectors(selectors) => {
                selectors.iter().try_for_each(|selector| self.select(node, selector, found))
            }
            Segment::Descendant(inner) => {
                self.segment(node, inner, found)?;
                self.children(node)?
                    .into_iter()
                    .filter(|child| matches!(child, Value::Array(_) | Value::Object(_)))
                    .try_for_each(|child| self.segment(child, segment, found))
            }
        }
    }

    /// The elements, or the values of fields in the order of their names.
    fn children(&mut self, node: &'d Value) -> Evaluated<Nodes<'d>> {
        self.budget.step(1)?;
        self.budget.opens(node)?;
        let children: Nodes<'d> = match node {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => fields.sorted().into_iter().map(|(_, value)| value).collect(),
            _ => return Ok(Vec::new()),
        };
        self.budget.step(children.len() as u64)?;
        Ok(children)
    }

    fn add(&mut self, node: Option<&'d Value>, found: &mut Nodes<'d>) -> Evaluated<()> {
        self.budget.step(1)?;
        self.budget.make(8)?;
        found.extend(node);
        Ok(())
    }

    fn select(&mut self, node: &'d Value, selector: &Selector, found: &mut Nodes<'d>) -> Evaluated<()> {
        match (selector, node) {
            (Selector::Name(name), Value::Object(fields)) => {
                self.budget.opens(node)?;
                self.add(fields.get(name), found)
            }
            (Selector::Index(index), Value::Array(items)) => {
                self.budget.opens(node)?;
                self.add(place(*index, items.len()).and_then(|at| items.get(at)), found)
            }
            (Selector::Wildcard, node) => {
                self.children(node)?.into_iter().try_for_each(|child| self.add(Some(child), found))
            }
            (Selector::Slice(low, high, step), Value::Array(items)) => {
                self.budget.opens(node)?;
                let step = step.unwrap_or(1);
                if step == 0 {
                    return Ok(());
                }
                crate::run::indexes(items.len(), *low, *high, Some(step))
                    .try_for_each(|at| self.add(items.get(at), found))
            }
            (Selector::Filter(filter), node) => {
                for child in self.children(node)? {
                    if self.holds(filter, child)? {
                        self.add(Some(child), found)?;
                    }
                }
                Ok(())
            }
            (Selector::Name(_) | Selector::Index(_) | Selector::Slice(..), _) => Ok(()),
        }
    }

    fn holds(&mut self, filter: &Filter, item: &'d Value) -> Evaluated<bool> {
        self.budget.step(1)?;
        match filter {
            Filter::Or(filters) => {
                for filter in filters {
                    if self.holds(filter, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Filter::And(filters) => {
                for filter in filters {
                    if !self.holds(filter, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Filter::Atom(FilterAtom::Filter { expr, not }) => Ok(self.holds(expr, item)? != *not),
            Filter::Atom(FilterAtom::Test { expr, not }) => Ok(self.passes(expr, item)? != *not),
            Filter::Atom(FilterAtom::Comparison(comparison)) => self.compares(comparison, item),
        }
    }

    /// Whether something is found, or what a function says.
    fn passes(&mut self, test: &Test, item: &'d Value) -> Evaluated<bool> {
        match test {
            Test::RelQuery(segments) => Ok(!self.nodes(item, segments)?.is_empty()),
            Test::AbsQuery(query) => Ok(!self.nodes(self.root, &query.segments)?.is_empty()),
            Test::Function(function) => {
                Ok(self.call(function, item)?.is_some_and(|value| value.as_bool() != Some(false)))
            }
        }
    }

    fn compares(&mut self, comparison: &Comparison, item: &'d Value) -> Evaluated<bool> {
        let (left, right) = comparison.vals();
        let (left, right) = (self.comparable(left, item)?, self.comparable(right, item)?);
        let (left, right) = match (&left, &right) {
            (Some(left), Some(right)) => (left, right),
            // What is not there equals what is not there.
            (None, None) => {
                return Ok(matches!(
                    comparison,
                    Comparison::Eq(..) | Comparison::Gte(..) | Comparison::Lte(..)
                ));
            }
            _ => return Ok(matches!(comparison, Comparison::Ne(..))),
        };
        self.budget.compares(left, right)?;
        let equal = left.type_name() == right.type_name() && left == right;
        let order = match (left.type_name(), right.type_name()) {
            ("number", "number") | ("string", "string") => left.compare(right),
            _ => None,
        };
        Ok(match comparison {
            Comparison::Eq(..) => equal,
            Comparison::Ne(..) => !equal,
            Comparison::Gt(..) => order.is_some_and(std::cmp::Ordering::is_gt),
            Comparison::Lt(..) => order.is_some_and(std::cmp::Ordering::is_lt),
            Comparison::Gte(..) => equal || order.is_some_and(std::cmp::Ordering::is_gt),
            Comparison::Lte(..) => equal || order.is_some_and(std::cmp::Ordering::is_lt),
        })
    }

    fn comparable(&mut self, side: &Comparable, item: &'d Value) -> Evaluated<Option<Cow<'d, Value>>> {
        let (mut node, segments) = match side {
            Comparable::Literal(value) => return Ok(Some(Cow::Owned(literal(value)))),
            Comparable::Function(function) => return self.call(function, item),
            Comparable::SingularQuery(SingularQuery::Current(segments)) => (item, segments),
            Comparable::SingularQuery(SingularQuery::Root(segments)) => (self.root, segments),
        };
        for segment in segments {
            self.budget.step(1)?;
            self.budget.opens(node)?;
            let next = match (segment, node) {
                (SingularQuerySegment::Name(name), Value::Object(fields)) => fields.get(name),
                (SingularQuerySegment::Index(index), Value::Array(items)) => {
                    place(*index, items.len()).and_then(|at| items.get(at))
                }
                _ => None,
            };
            let Some(next) = next else { return Ok(None) };
            node = next;
        }
        Ok(Some(Cow::Borrowed(node)))
    }

    fn call(&mut self, function: &TestFunction, item: &'d Value) -> Evaluated<Option<Cow<'d, Value>>> {
        let given = match function {
            TestFunction::Length(of) => {
                let length = match self.argument(of, item)?.as_deref() {
                    Some(Value::String(text)) => {
                        self.budget.scan(text.len() as u64)?;
                        text.chars().count()
                    }
                    Some(Value::Array(items)) => items.len(),
                    Some(Value::Object(fields)) => fields.len(),
                    _ => return Ok(None),
                };
                Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
            }
            TestFunction::Count(of) => {
                let count = match of {
                    FnArg::Test(test) => match &**test {
                        Test::RelQuery(segments) => self.nodes(item, segments)?.len(),
                        Test::AbsQuery(query) => self.nodes(self.root, &query.segments)?.len(),
                        Test::Function(_) => return Ok(None),
                    },
                    FnArg::Literal(_) | FnArg::Filter(_) => return Ok(None),
                };
                Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
            }
            TestFunction::Value(of) => return self.argument(of, item),
            TestFunction::Search(text, pattern) => Value::Bool(self.matches(text, pattern, item, false)?),
            TestFunction::Match(text, pattern) => Value::Bool(self.matches(text, pattern, item, true)?),
            TestFunction::Custom(name, _) => {
                return Err(Failure::new(format!("JSONPath has no function `{}`", short(name))));
            }
        };
        Ok(Some(Cow::Owned(given)))
    }

    /// The value of an argument: of a query the one that it finds.
    fn argument(&mut self, argument: &FnArg, item: &'d Value) -> Evaluated<Option<Cow<'d, Value>>> {
        let nodes = match argument {
            FnArg::Literal(value) => return Ok(Some(Cow::Owned(literal(value)))),
            FnArg::Filter(filter) => return Ok(Some(Cow::Owned(Value::Bool(self.holds(filter, item)?)))),
            FnArg::Test(test) => match &**test {
                Test::RelQuery(segments) => self.nodes(item, segments)?,
                Test::AbsQuery(query) => self.nodes(self.root, &query.segments)?,
                Test::Function(function) => return self.call(function, item),
            },
        };
        match nodes[..] {
            [only] => Ok(Some(Cow::Borrowed(only))),
            _ => Ok(None),
        }
    }

    fn matches(&mut self, text: &FnArg, pattern: &FnArg, item: &'d Value, whole: bool) -> Evaluated<bool> {
        let (text, pattern) = (self.argument(text, item)?, self.argument(pattern, item)?);
        let (text, pattern) =
            (text.as_deref().and_then(Value::as_str), pattern.as_deref().and_then(Value::as_str));
        let (Some(text), Some(pattern)) = (text, pattern) else { return Ok(false) };
        self.budget.scan(text.len() as u64)?;
        let key = (pattern.to_owned(), whole);
        if !self.regexes.contains_key(&key) {
            self.budget.step(COMPILING + pattern.len() as u64)?;
            if self.regexes.len() >= MOST_REGEXES {
                self.regexes.clear();
            }
            self.regexes.insert(key.clone(), compile_regex(&i_regexp(pattern, whole)).ok());
        }
        Ok(self.regexes.get(&key).and_then(Option::as_ref).is_some_and(|regex| regex.is_match(text)))
    }
}

/// An I-Regexp (RFC 9485) as the library writes it: a dot is neither `\n` nor `\r`.
fn i_regexp(pattern: &str, whole: bool) -> String {
    let mut written = String::with_capacity(pattern.len() + 8);
    let (mut escaped, mut class) = (false, false);
    for c in pattern.chars() {
        match c {
            '.' if !escaped && !class => written.push_str("[^\\n\\r]"),
            c => written.push(c),
        }
        class = match c {
            '[' if !escaped => true,
            ']' if !escaped => false,
            _ => class,
        };
        escaped = c == '\\' && !escaped;
    }
    if whole { format!("^(?:{written})$") } else { written }
}

/// Where an index, which may count from the end, stands.
fn place(index: i64, length: usize) -> Option<usize> {
    let from_start = if index < 0 { index.checked_add(i64::try_from(length).ok()?)? } else { index };
    usize::try_from(from_start).ok()
}

fn literal(literal: &Literal) -> Value {
    match literal {
        Literal::Int(number) => Value::Int(*number),
        Literal::Float(number) => Value::Float(*number),
        Literal::String(text) => Value::from(text.as_str()),
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Batch, message, payload};
    use crate::{Environment, Mapping};

    #[test]
    fn expressions_find_what_the_standard_says() {
        let document = r#"{"a":[{"n":1,"s":"ab"},{"n":2.0,"s":"a\nb"},{"s":""}],"b":{"c":{"n":"1"},"d":[1,[2,3]]},"n":2}"#;
        for (expression, expected) in [
            ("$.a[*].n", "[1,2]"),
            ("$..n", r#"[2,1,2,"1"]"#),
            ("$.a[-1].s", ""),
            ("$.b.d[1][0]", "2"),
            ("$.b.d[0,0]", "[1,1]"),
            ("$.a[::-1].n", "[2,1]"),
            ("$.a[1:].n", "[2]"),
            ("$.a[?@.n == 1].s", r#"["ab"]"#),
            ("$.a[?@.n == $.n].n", "[2]"),
            ("$.a[?@.n >= 1 && !(@.n > 1)].n", "[1]"),
            ("$.a[?!@.n].s", r#"[""]"#),
            ("$.a[?@.x == @.y].s", r#"["ab","a\nb",""]"#),
            ("$.a[?@.n != 1].s", r#"["a\nb",""]"#),
            ("$.b.c[?@ == 1]", "[]"),
            ("$.a[?length(@.s) == 2].s", r#"["ab"]"#),
            ("$.a[?count(@.*) == 2].n", "[1,2]"),
            ("$.a[?match(@.s, 'a')].s", "[]"),
            ("$.a[?match(@.s, 'a.?')].s", r#"["ab"]"#),
            ("$.a[?search(@.s, '^a')].n", "[1,2]"),
            ("$.a[?value(@..n) == 1].n", "[1]"),
            ("$..[?@.n]", r#"[{"n":1,"s":"ab"},{"n":2,"s":"a\nb"},{"n":"1"}]"#),
        ] {
            let mapping = format!("root = this.json_path({expression:?})");
            let mapping = Mapping::parse(&Environment::pure(), &mapping).unwrap();
            let batch = Batch(vec![message(document)]);
            let found = mapping.apply(&batch, 0).map(|outcome| payload(&outcome));
            assert_eq!(found.as_deref().map_err(ToString::to_string), Ok(expected), "{expression}");
        }
    }
}

//! The reference of functions and methods, written from the table.

use std::fmt::Write as _;

use super::{Example, Kind, Presence, Spec, all_functions, all_methods};
use crate::compile::signature;

const HEAD: &str = "\
# Bloblang: functions and methods

This page is written from the table in `crates/bloblang/src/table`; change it there and run
`UPDATE_DOCS=1 cargo test -p bloblang`. Every example runs as a test.

A mapping is a list of assignments: `root.name = this.user.name.uppercase()`. `this` is the message's payload read as
JSON, `root` the new one, `@key` metadata (`meta key = ...` writes it), `let x = ...` and `$x` variables. A mapping that
is a single query is short for `root = query`. Texts of configuration hold queries as `${! this.name }`.

In a signature `?` marks what may be left out, `=` a default, `...` any number of arguments. Arguments may be named:
`range(start: 0, stop: 3)`. Where a *query* is asked for, write a lambda (`item -> item.a`) or an expression in which
`this` is the element.
";

/// The reference of every function and method as Markdown: signature, parameters, examples.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    let mut chapter = "";
    for spec in all_functions().chain(all_methods()) {
        if spec.chapter != chapter {
            chapter = spec.chapter;
            let title = if chapter == "Functions" {
                chapter.to_owned()
            } else {
                format!("Methods: {}", lower(chapter))
            };
            let _ = write!(out, "\n## {title}\n");
        }
        describe(spec, &mut out);
    }
    out
}

fn lower(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

fn describe(spec: &Spec, out: &mut String) {
    let _ = write!(out, "\n### `{}`\n\n{}\n{}", spec.name, signature(spec), spec.summary);
    if let Some(capability) = spec.needs {
        let _ = write!(out, " Only where a mapping may {} {}.", capability.verb().1, capability.name());
    }
    if !spec.aliases.is_empty() {
        let names: Vec<String> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let _ = write!(out, " Older name: {}.", names.join(", "));
    }
    out.push('\n');
    if !spec.parameters.is_empty() {
        out.push('\n');
    }
    for parameter in spec.parameters {
        let kind = match parameter.kind {
            Kind::Any => "any value".to_owned(),
            Kind::Text => "text".to_owned(),
            Kind::Choice(choices) => choices.join(" \\| "),
            Kind::Integer => "whole number".to_owned(),
            Kind::Number => "number".to_owned(),
            Kind::Bool => "bool".to_owned(),
            Kind::Timestamp => "timestamp".to_owned(),
            Kind::Query => "query".to_owned(),
            Kind::Regex => "regular expression".to_owned(),
            Kind::Path => "dot path".to_owned(),
            Kind::Map => "map name".to_owned(),
        };
        let optional = if matches!(parameter.presence, Presence::Optional) { ", optional" } else { "" };
        let _ = writeln!(out, "- `{}` ({kind}{optional}): {}", parameter.name, parameter.summary);
    }
    for Example(mapping, input, output) in spec.examples {
        let _ = write!(out, "\n```coffee\n{mapping}\n# In:  {input}\n# Out: {output}\n```\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Run;
    use super::*;
    use crate::testing::{Batch, message};
    use crate::{Caches, Capability, Environment, File, Files, Mapping, Root, Value};
    use bytes::Bytes;
    use std::sync::Arc;

    /// The files and the one cache that examples use. The keys sign nothing but them.
    struct Documented;

    fn file(name: &str, content: &'static [u8]) -> File {
        File { name: name.to_owned(), content: Bytes::from_static(content) }
    }

    impl Files for Documented {
        fn open(&self, path: &str, _: Option<&str>) -> Result<File, String> {
            match path {
                "documented.json" => Ok(file(path, b"{\"a\":1}")),
                "documented.mmdb" => Ok(file(path, include_bytes!("examples/documented.mmdb"))),
                "rsa.private.pem" => Ok(file(path, include_bytes!("examples/rsa.private.pem"))),
                "rsa.public.pem" => Ok(file(path, include_bytes!("examples/rsa.public.pem"))),
                "p256.private.pem" => Ok(file(path, include_bytes!("examples/p256.private.pem"))),
                "p256.public.pem" => Ok(file(path, include_bytes!("examples/p256.public.pem"))),
                "p384.private.pem" => Ok(file(path, include_bytes!("examples/p384.private.pem"))),
                "p384.public.pem" => Ok(file(path, include_bytes!("examples/p384.public.pem"))),
                "p521.private.pem" => Ok(file(path, include_bytes!("examples/p521.private.pem"))),
                "p521.public.pem" => Ok(file(path, include_bytes!("examples/p521.public.pem"))),
                _ => Err("there is no such file".to_owned()),
            }
        }
    }

    impl Caches for Documented {
        fn get(&self, _: &str, key: &str) -> Result<Bytes, String> {
            if key == "a" { Ok("1".into()) } else { Err("key does not exist".to_owned()) }
        }

        fn set(&self, _: &str, _: &str, _: Bytes) -> Result<(), String> {
            Ok(())
        }

        fn add(&self, _: &str, key: &str, _: Bytes) -> Result<(), String> {
            if key == "a" { Err("key already exists".to_owned()) } else { Ok(()) }
        }

        fn delete(&self, _: &str, _: &str) -> Result<(), String> {
            Ok(())
        }
    }

    fn documented_world() -> Environment {
        let all = Environment::pure().with(Capability::Env).with(Capability::Hostname);
        all.with_files(Arc::new(Documented)).with_caches(Arc::new(Documented))
    }

    /// Runs an example: `deleted`, `error: ...`, or the new payload as JSON.
    fn run(mapping: &str, input: &str) -> String {
        let env = documented_world();
        let mapping = match Mapping::parse(&env, mapping) {
            Ok(mapping) => mapping,
            Err(faults) => return format!("fault: {}", faults[0]),
        };
        let batch = Batch(vec![message(input)]);
        match mapping.apply(&batch, 0).map(|outcome| outcome.root) {
            Err(error) => format!("error: {}", error.message),
            Ok(Root::Deleted) => "deleted".to_owned(),
            Ok(Root::Unchanged) => input.to_owned(),
            Ok(Root::Value(value)) => value.to_json(),
        }
    }

    #[test]
    fn every_example_gives_what_it_says() {
        let mut wrong = Vec::new();
        for spec in all_functions().chain(all_methods()) {
            let works = |Example(.., output): &Example| !output.starts_with("error: ");
            assert!(spec.examples.iter().any(works), "`{}` has no example that works", spec.name);
            for Example(mapping, input, expected) in spec.examples {
                let found = run(mapping, input);
                let same = match expected.strip_prefix("error: ") {
                    Some(part) => found.starts_with("error: ") && found.contains(part),
                    None if *expected == "deleted" => found == "deleted",
                    None => {
                        Value::parse_json(found.as_bytes()).ok()
                            == Value::parse_json(expected.as_bytes()).ok()
                    }
                };
                if !same {
                    wrong.push(format!("{mapping}\n  on {input}\n  got  {found}\n  want {expected}"));
                }
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    #[test]
    fn the_table_is_consistent() {
        let mut names = std::collections::HashSet::new();
        for spec in all_functions().chain(all_methods()) {
            let is_function = matches!(spec.run, Run::Function(_));
            assert_eq!(is_function, spec.chapter == "Functions", "{}", spec.name);
            for name in spec.aliases.iter().chain([&spec.name]) {
                assert!(names.insert((is_function, *name)), "`{name}` is there twice");
            }
            for (at, parameter) in spec.parameters.iter().enumerate() {
                let last = at + 1 == spec.parameters.len();
                assert!(last || !matches!(parameter.presence, Presence::Many), "{}", spec.name);
            }
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads and writes the page")]
    fn the_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bloblang.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == reference(), "docs/bloblang.md is stale; run `UPDATE_DOCS=1 cargo test -p bloblang`");
    }
}

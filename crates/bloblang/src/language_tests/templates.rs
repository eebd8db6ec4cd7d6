//! Texts with queries in them.

use crate::testing::{Batch, message};
use crate::{Environment, Template, Value};

#[test]
fn templates() {
    let mut input = message(r#"{"name":"Ada","n":1.0,"o":{"b":1,"a":[]}}"#);
    input.metadata = vec![("k".into(), Value::from("v"))];
    let batch = Batch(vec![input]);
    for (text, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("$ and ${NAME} stay", "$ and ${NAME} stay"),
        ("a${! this.name }b${!@k}c", "aAdabvc"),
        ("${{!this.name}} ${!this.name}", "${!this.name} Ada"),
        ("${{!open", "${{!open"),
        (r#"${! {"a":"}"}.a + "}" }"#, "}}"),
        ("${! this.missing }|${!this.n}|${!this.o}", "null|1.0|{\"a\":[],\"b\":1}"),
        ("${! this.o.a.map_each(x -> x) }${! [1].map_each(y -> y + 1) }", "[][2]"),
        ("${! name.uppercase() }", "ADA"),
    ] {
        let template = Template::parse(&Environment::pure(), text).unwrap();
        assert_eq!(template.render(&batch, 0).unwrap(), expected, "{text}");
    }
    assert_eq!(Template::parse(&Environment::pure(), "a${{!b}}").unwrap().as_static(), Some("a${!b}"));
    let fault = &Template::parse(&Environment::pure(), "abc\n${! this.upercase() }").unwrap_err()[0];
    assert_eq!((fault.line, fault.column), (2, 10));
    assert!(Template::parse(&Environment::pure(), "x ${! this.a").is_err());
    let template = Template::parse(&Environment::pure(), "${! this.name.not_empty().number() }").unwrap();
    assert!(template.render(&batch, 0).is_err());
    assert!(Template::parse(&Environment::pure(), "${! root }").unwrap().render(&batch, 0).is_err());
    // What is granted to mappings is granted here.
    let granted = std::collections::BTreeMap::from([("CUP".to_owned(), "tea".to_owned())]);
    let granted = Environment::pure().with_variables(std::sync::Arc::new(granted));
    let template =
        Template::parse(&granted, r#"${! env("CUP") } ${! env(@k.replace("v", "CUP")) }"#).unwrap();
    assert_eq!(template.render(&batch, 0).unwrap(), "tea tea");
}

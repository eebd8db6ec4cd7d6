use document::Fault;
use serde_json::json;

use super::resolve::LEAST_WHOLE;
use super::*;

#[derive(Debug)]
struct Known;

impl Lookup for Known {
    fn look_up(&self, reference: &Reference) -> Value {
        match (&reference.store, &*reference.name) {
            (Store::Environment, "HOST") => Value::Is("upstream.example".into()),
            (Store::Vault, "secret/a.pw") => Value::Is("p\"w\\$1".into()),
            (Store::Named(store), "path#field") if &**store == "main" => Value::Is("12".into()),
            (Store::Secrets, "later") => Value::Is("{{.Later}}".into()),
            (Store::Consul, "unknown") => Value::Unknown,
            _ => Value::Missing("it is not there".to_owned()),
        }
    }
}

#[test]
fn references_are_found_where_they_stand() {
    for (text, expected) in [
        ("env://A_b", &["0..9 env://A_b"] as &[&str]),
        ("Bearer secrets://token", &["7..22 secrets://token"]),
        ("http://env://HOST", &["7..17 env://HOST"]),
        ("consul://a/b", &["0..12 consul://a/b"]),
        ("vault://secret/data.pw", &["0..22 vault://secret/data.pw"]),
        ("file://a/b", &["0..10 file://a/b"]),
        ("kv://main/path#field", &["0..20 kv://main/path#field"]),
        ("x$kv{main/p#f}y$kv{env://A}", &["1..14 kv://main/p#f", "15..27 env://A"]),
        ("$kv{main/p}env://B", &["0..11 kv://main/p", "11..18 env://B"]),
        // Other schemes, and what is none.
        ("mykv://a/b", &[]),
        ("x-env://A", &[]),
        ("git+file://a", &[]),
        ("http://a/b", &[]),
        ("kv://main", &[]),
        ("kv:///p", &[]),
        ("env://", &[]),
        ("write env://NAME to name one", &[]),
        ("$kv{", &[]),
        ("$kv{}", &[]),
        ("$kv{a}$kv{b/c}", &["6..14 kv://b/c"]),
        ("$kv{http://x}", &[]),
        ("é$kv{s/é}é", &["2..11 kv://s/é"]),
        ("éenv://x", &[]),
        ("é env://x", &["3..10 env://x"]),
    ] {
        let shown: Vec<String> = found(text).iter().map(|(range, one)| format!("{range:?} {one}")).collect();
        assert_eq!(shown, expected, "{text}");
    }
    for (text, expected) in [
        ("$secret_conf.a-b/c", &["secrets://a-b"] as &[&str]),
        ("Bearer $secret_vault.secret/a.pw!", &["vault://secret/a.pw"]),
        ("$secret_consul.a/b,$secret_file.c/d.txt", &["consul://a/b", "file://c/d.txt"]),
        ("${secret_env.x:y}", &["$secret_env.x"]),
        ("$secret_none.x $secret_conf. secret_conf.x", &[]),
    ] {
        let shown: Vec<String> = later(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{text}");
    }
}

#[test]
fn values_take_their_places_and_are_covered_again() {
    let mut value = json!({
        "url": "http://env://HOST", "pw": "vault://secret/a.pw", "n": ["a-$kv{main/path#field}-b"],
        "header": "x $secret_conf.later", "description": "env://NONE",
        "x-tyk-streaming": {"schema": "file://./a.json"}, "e~n": {"none": "env://NONE"},
        "empty": "$secret_vault.none.x",
    });
    let mut faults: Vec<Fault> = Vec::new();
    let resolved = resolve(&mut value, &Known, &mut faults);
    assert_eq!(value["url"], "http://upstream.example");
    assert_eq!(value["pw"], "p\"w\\$1");
    assert_eq!(value["n"][0], "a-12-b");
    assert_eq!(value["header"], "x $secret_conf.later", "kept apart from the text");
    assert_eq!(value["x-tyk-streaming"]["schema"], "file://./a.json");
    assert_eq!(resolved.secrets["conf.later"].0, "{{.Later}}");
    let told: Vec<_> =
        faults.iter().map(|fault| (fault.is_error(), &*fault.pointer, &*fault.message)).collect();
    assert_eq!(
        told,
        [
            (true, "/e~0n/none", "there is no value for `env://NONE`: it is not there"),
            (true, "/empty", "there is no value for `$secret_vault.none.x`: it is not there"),
        ]
    );
    for (text, covered) in [
        ("`p\"w\\$1` is wrong", "`vault://secret/a.pw` is wrong"),
        ("http://upstream.example/", "http://env://HOST/"),
        ("a-12-b", "a-$kv{main/path#field}-b"),
        ("12 of 120", "12 of 120"),
    ] {
        let mut text = text.to_owned();
        resolved.cover(&mut text, LEAST_WHOLE);
        assert_eq!(text, covered);
    }
    assert!(!format!("{resolved:?}").contains("upstream.example"), "values are printed nowhere");
}

#[test]
fn a_seal_holds_until_a_value_is_another() {
    #[derive(Debug)]
    struct Says(&'static str);
    impl Lookup for Says {
        fn look_up(&self, _: &Reference) -> Value {
            if self.0.is_empty() { Value::Missing(String::new()) } else { Value::Is(self.0.into()) }
        }
    }
    let references = || vec![Reference { store: Store::Consul, name: "a".into() }];
    let seal = Seal::of(references(), &Says("one"));
    assert!(seal.holds(&Says("one")) && !seal.holds(&Says("two")) && !seal.holds(&Says("")));
    assert!(Seal::default().holds(&Says("")) && !Seal::of(references(), &Nobody).holds(&Says("one")));
}

#[test]
fn values_are_printed_nowhere() {
    assert!(!format!("{:?}", Value::Is("s3cret".into())).contains("s3cret"));
}

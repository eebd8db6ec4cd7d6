use serde_json::json;

use super::*;
use crate::registry::Registry;

fn settings() -> Settings {
    let mut settings = Settings::new(Registry::standard());
    let secrets = [("conf.pw", "p w/ä"), ("env.TOKEN", "to=ken")];
    settings.secrets =
        std::sync::Arc::new(secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    settings
}

/// A stream with this output beside a mapping.
fn stream(mapping: &str, output: Json) -> Json {
    json!({
        "input": {"generate": {"mapping": "root = 1"}},
        "pipeline": {"processors": [{"mapping": mapping}]},
        "output": output,
    })
}

#[test]
fn values_are_put_in_by_what_the_field_is() {
    let evil = "a\"b\\ \u{e9}/?'&";
    let value_of = |placeholder: &Placeholder| match placeholder.name.as_str() {
        "evil" => Filled::With(evil.to_owned()),
        "number" => Filled::With("7".to_owned()),
        "later" => Filled::Later,
        _ => Filled::Missing,
    };
    let filled =
        |kind: Kind, text: &str| fill_text(kind, text, "", &value_of).unwrap().unwrap_or_else(|| text.into());
    for (kind, text, expected) in [
        (Kind::Text, "$tyk_context.evil", json!(evil)),
        (Kind::Text, "g-$tyk_context.evil", json!("g-a%22b%5C%20%C3%A9%2F%3F%27%26")),
        (Kind::Template, "x/$tyk_meta.evil/y", json!("x/a%22b%5C%20%C3%A9%2F%3F%27%26/y")),
        (Kind::Text, "${tyk_context.none:d e}", json!("d e")),
        (Kind::Text, "${tyk_context.none:}", json!("")),
        (Kind::Text, "$tyk_context.number", json!("7")),
        (Kind::Int, "$tyk_context.number", json!(7)),
        (Kind::Duration, "${tyk_context.number}s", json!("7s")),
        (Kind::Text, "$tyk_context.later and $tyk_context.number", json!("$tyk_context.later and 7")),
        (
            Kind::Text,
            "$tyk_context. $tyk_other.x $tyk_context",
            json!("$tyk_context. $tyk_other.x $tyk_context"),
        ),
        (Kind::Text, "$secret_conf.evil!", json!(format!("{evil}!"))),
        (
            Kind::Text,
            "http://$secret_conf.number:$secret_conf.evil@h",
            json!("http://7:a%22b%5C%20%C3%A9%2F%3F%27%26@h"),
        ),
        (Kind::Bloblang, "root = \"$tyk_context.evil\"", json!("root = \"a\\\"b\\\\ é/?'&\"")),
    ] {
        assert_eq!(filled(kind, text), expected, "{text}");
    }
}

#[test]
fn what_cannot_stand_there_is_refused() {
    for value in ["${! env(\"PATH\") }", "a${B}", "a\nb", &"x".repeat(5000)] {
        let given = |_: &Placeholder| Filled::With(value.to_owned());
        let fault = fill_text(Kind::Text, "$tyk_context.a", "/x", &given).unwrap_err();
        assert!(fault.message.contains("`$tyk_context.a`") && fault.pointer == "/x", "{fault:?}");
    }
    let none = |_: &Placeholder| Filled::Missing;
    let fault = fill(&stream("root = \"$tyk_meta.team\"", json!({"drop": {}})), "/s", &settings(), &none)
        .unwrap_err();
    assert_eq!(fault[0].pointer, "/s/pipeline/processors/0/mapping");
    assert_eq!(fault[0].message, "there is no value for `$tyk_meta.team`");
}

#[test]
fn what_is_put_in_names_nothing_itself() {
    for (text, value, made) in [
        ("$tyk_context.x", "$secret_env.TOKEN", "$secret_env.TOKEN"),
        ("$tyk_context.x", "a $tyk_meta.y b", "$tyk_meta.y"),
        ("root = \"$tyk_context.x\"", "$secret_conf.pw", "$secret_conf.pw"),
        ("root = \"$$tyk_context.x\"", "secret_conf.pw", "$secret_conf.pw"),
        ("$tyk_context.x", "kv://vault/pw", "kv://"),
    ] {
        let kind = if text.starts_with("root") { Kind::Bloblang } else { Kind::Text };
        let given = |_: &Placeholder| Filled::With(value.to_owned());
        let fault = fill_text(kind, text, "/at", &given).unwrap_err();
        assert!(fault.message.contains(&format!("make `{made}` of it")), "{text}, {value}: {fault:?}");
    }
    let given = |_: &Placeholder| Filled::With("$5 or $x.y".to_owned());
    let filled = fill_text(Kind::Text, "$tyk_context.x", "", &given).unwrap();
    assert_eq!(filled, Some(json!("$5 or $x.y")), "what names nothing stays");
}

#[test]
fn where_they_stand_wrongly_is_told_with_its_place() {
    for (mapping, output, told) in [
        ("root = $tyk_context.a", json!({"drop": {}}), Some("outside of a string")),
        ("root = 1 # \"\nroot = $tyk_context.a", json!({"drop": {}}), Some("outside of a string")),
        ("root = \"\"\"$tyk_context.a\"\"\"", json!({"drop": {}}), Some("outside of a string")),
        ("root = \"a\\\"\" + $tyk_context.a", json!({"drop": {}}), Some("outside of a string")),
        ("root = \"a \\\" $tyk_context.a\"", json!({"drop": {}}), None),
        ("root = 1 # \"\nroot = \"$tyk_context.a\"", json!({"drop": {}}), None),
        ("root = 1", json!({"reject": "${! $tyk_context.a }"}), Some("inside of an interpolation")),
        ("root = 1", json!({"reject": "${! content() } $tyk_context.a"}), None),
        ("root = 1", json!({"reject": "${! $secret_vault.a/b.c }"}), Some("inside of an interpolation")),
        ("root = 1", json!({"reject": "kv://a/b"}), Some("`kv://` is not read")),
        ("root = 1", json!({"broker": {"outputs": [], "$tyk_context.a": 1}}), Some("names a field")),
        (
            "root = 1",
            json!({"type": "reject", "plugin": "${! $tyk_meta.a }"}),
            Some("inside of an interpolation"),
        ),
    ] {
        let (_, faults) = placeholders(&stream(mapping, output.clone()), "", &settings());
        let texts: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        match told {
            Some(told) => {
                assert!(texts.iter().any(|text| text.contains(told)), "{mapping} {output}: {texts:?}")
            }
            None => assert!(faults.is_empty(), "{mapping} {output}: {texts:?}"),
        }
    }
}

#[test]
fn each_is_found_once_and_samples_fit() {
    let config = json!({
        "input": {"generate": {"mapping": "root = \"$tyk_context.a\"", "interval": "$tyk_meta.every", "count": "$tyk_meta.n"}},
        "output": {"reject": "$tyk_context.a ${tyk_context.b:x}"},
        "metrics": {"none": {}, "mapping": "root = \"$tyk_context.a\""},
    });
    let (found, faults) = placeholders(&config, "", &settings());
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["$tyk_context.a", "$tyk_meta.every", "$tyk_meta.n", "$tyk_context.b"]);
    assert!(faults.is_empty(), "{faults:?}");
    let sampled = sampled(&config, &settings());
    let faults = crate::lint::lint(&sampled, "", &settings());
    assert!(!faults.iter().any(Fault::is_error), "{sampled}: {faults:?}");
}

#[test]
fn secrets_are_put_in_before_any_request() {
    let config =
        stream("root = \"$secret_conf.pw\"", json!({"reject": "Bearer $secret_env.token $tyk_context.a"}));
    let filled = with_secrets(&config, "", &settings()).unwrap();
    assert_eq!(filled["pipeline"]["processors"][0]["mapping"], "root = \"p w/ä\"");
    assert_eq!(filled["output"]["reject"], "Bearer to=ken $tyk_context.a");
    let faults = with_secrets(&stream("root = 1", json!({"reject": "$secret_env.none"})), "", &settings())
        .unwrap_err();
    assert_eq!(faults[0].message, "there is no value for `$secret_env.none`");
    assert!(faults[0].hint.as_deref().unwrap().contains("TYK_SECRET_NONE"));
}

//! What each guard costs: one by one, and ten together, beside the same gate keyless.

use crate::Settings;
use crate::compare::{Behind, Contender, Measured, alternate};
use crate::gate::{Gate, Setup};
use crate::report::{Bound, Report};
use crate::upstream::Upstream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;

const CASE: &str = "each guard, 60 B";
const REGEXES: &str = "100 expressions in a list, 60 B";
const CODE: &str = "code and bodies, 60 B";
/// What is posted where a body is transformed.
const BODY: &str =
    r#"{"name": "ann", "items": [{"id": 1, "price": 2.5}, {"id": 2, "price": 4}], "note": "to be kept"}"#;
const TEMPLATE: &str = r#"{"customer": "{{.name}}", "count": {{len .items}}}"#;
const SCRIPT: &str = r#"
    var hook = new TykJS.TykMiddleware.NewMiddleware({});
    hook.NewProcessRequest(function (request, session) {
        request.SetHeaders["X-Hook"] = request.Method + " " + request.URL;
        return hook.ReturnData(request, session.meta_data);
    });"#;

/// The guards that are taken together in the end: name, API, fields, fields of the version. The token makes the tenth.
fn guards() -> Vec<(&'static str, &'static str, Value, Value)> {
    let none = || json!({});
    let list = |key: &str, more: Value| {
        let mut entry = json!({"path": "/60", "method": "GET"});
        if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), more) {
            entry.extend(more);
        }
        json!({"extended_paths": {key: [entry]}})
    };
    vec![
        ("IP list", "ip", json!({"enable_ip_whitelisting": true, "allowed_ips": ["127.0.0.1"]}), none()),
        ("CORS", "cors", json!({"CORS": {"enable": true, "allowed_origins": ["*"]}}), none()),
        ("size limit", "size", none(), json!({"global_size_limit": 100_000})),
        ("rate limit of the API", "rate", json!({"global_rate_limit": {"rate": 1e9, "per": 1}}), none()),
        ("allow list", "allow", none(), list("white_list", json!({}))),
        (
            "URL rewrite",
            "rewrite",
            none(),
            list("url_rewrites", json!({"match_pattern": "/(60)", "rewrite_to": "/$1"})),
        ),
        (
            "request headers",
            "headers",
            none(),
            json!({"global_headers": {"X-Added": "1"}, "global_headers_remove": ["X-Gone"]}),
        ),
        ("answer headers", "answer", none(), json!({"global_response_headers": {"X-Added": "1"}})),
        ("timeout", "timeout", none(), list("hard_timeouts", json!({"timeout": 30}))),
    ]
}

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let setup = Setup::new("guards", false)?;
    setup.proxy("open", false, upstream.address())?;
    setup.proxy("token", true, upstream.address())?;
    let (mut all, mut version) = (json!({"use_keyless": false, "use_standard_auth": true}), json!({}));
    let guards = guards();
    for (_, id, fields, of_version) in &guards {
        api(&setup, id, upstream.address(), fields, of_version)?;
        merge(&mut all, fields);
        merge(&mut version, of_version);
    }
    api(&setup, "all", upstream.address(), &all, &version)?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let with_keys = |id: &str| -> io::Result<Vec<Vec<u8>>> {
        let keys = gate.keys(id, settings.connections)?;
        Ok(keys.iter().map(|key| gate.get(id, "60", &[("authorization", key)])).collect())
    };
    let mut contenders = vec![gate.contender("keyless", vec![gate.get("open", "60", &[])])];
    contenders.push(gate.contender("token, rate limit, quota", with_keys("token")?));
    for (name, id, ..) in &guards {
        contenders.push(plain(&gate, name, id));
    }
    contenders.push(gate.contender("all ten together", with_keys("all")?));
    let measured = alternate(CASE, &contenders, Behind::Inside(&upstream), settings, report)?;
    let Some((keyless, others)) = measured.split_first() else { return Ok(()) };
    keyless.report(report, CASE, None);
    for other in others {
        other.report(report, CASE, Some(keyless));
    }
    let bounds = [("request headers", 1.03), ("all ten together", 1.5)];
    for (name, bound) in bounds {
        target(report, others, name, keyless, bound);
    }
    Ok(())
}

/// A hundred regular expressions of a list beside one.
pub(crate) fn expressions(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let setup = Setup::new("expressions", false)?;
    for (id, count) in [("one", 1), ("hundred", 100)] {
        // The last one is that which matches.
        let path = |index: usize| match index + 1 == count {
            true => "/shop/[a-z]+/60".to_owned(),
            false => format!("/shop-{index}/[a-z]+/[0-9]+"),
        };
        let entries: Vec<Value> =
            (0..count).map(|index| json!({"path": path(index), "method": "GET"})).collect();
        api(&setup, id, upstream.address(), &json!({}), &json!({"extended_paths": {"white_list": entries}}))?;
    }
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let contenders = [("one", "one"), ("a hundred", "hundred")]
        .map(|(name, id)| gate.contender(name, vec![gate.get(id, "shop/books/60", &[])]));
    let measured = alternate(REGEXES, &contenders, Behind::Inside(&upstream), settings, report)?;
    if let [one, hundred] = measured.as_slice() {
        one.report(report, REGEXES, None);
        hundred.report(report, REGEXES, Some(one));
        let what = "a hundred expressions: CPU / one";
        report.target(what, hundred.ratio(one), 2, Bound::AtMost(1.1));
    }
    Ok(())
}

/// A hook in JavaScript, and a template over a body.
pub(crate) fn code(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let setup = Setup::new("code", false)?.conf(json!({"enable_jsvm": true}));
    setup.proxy("open", false, upstream.address())?;
    let hooks = json!({"custom_middleware": {
        "driver": "javascript", "pre": [{"name": "hook", "code": STANDARD.encode(SCRIPT)}],
    }});
    api(&setup, "script", upstream.address(), &hooks, &json!({}))?;
    let template = json!({"extended_paths": {"transform": [{
        "path": "/60", "method": "POST",
        "template_data": {"template_mode": "blob", "input_type": "json", "template_source": STANDARD.encode(TEMPLATE)},
    }]}});
    api(&setup, "template", upstream.address(), &json!({}), &template)?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let contenders = [
        gate.contender("keyless", vec![gate.get("open", "60", &[])]),
        plain(&gate, "hook in JavaScript", "script"),
        gate.contender("keyless, a body of 100 B", vec![gate.post("open", "60", BODY)]),
        gate.contender("body template", vec![gate.post("template", "60", BODY)]),
    ];
    let measured = alternate(CODE, &contenders, Behind::Inside(&upstream), settings, report)?;
    if let [keyless, script, posted, template] = measured.as_slice() {
        keyless.report(report, CODE, None);
        script.report(report, CODE, Some(keyless));
        posted.report(report, CODE, None);
        template.report(report, CODE, Some(posted));
        report.target("hook in JavaScript: CPU µs more", script.more_than(keyless), 1, Bound::AtMost(25.0));
    }
    Ok(())
}

fn plain<'a>(gate: &'a Gate, name: &'a str, id: &str) -> Contender<'a> {
    gate.contender(name, vec![gate.get(id, "60", &[])])
}

fn target(report: &mut Report, all: &[Measured], name: &str, keyless: &Measured, bound: f64) {
    if let Some(found) = all.iter().find(|measured| measured.name == name) {
        let what = format!("{name}: CPU / keyless");
        report.target(&what, found.ratio(keyless), 2, Bound::AtMost(bound));
    }
}

/// An API with these fields, and these in its version.
fn api(setup: &Setup, id: &str, upstream: SocketAddr, fields: &Value, version: &Value) -> io::Result<()> {
    let mut own = json!({"name": "Default", "use_extended_paths": true});
    merge(&mut own, version);
    let mut fields = fields.clone();
    merge(&mut fields, &json!({"version_data": {"not_versioned": true, "versions": {"Default": own}}}));
    setup.api(id, upstream, fields)
}

/// Adds fields, those of objects into what is there.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

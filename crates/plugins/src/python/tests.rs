//! Plugins as they are written for the original, on the machine's own Python.

use std::time::Duration;

use apidef::Session;

use super::*;
use crate::Hook;
use crate::testing::{World, call};

fn code(text: &str) -> Code {
    Code { texts: vec![Source { name: "plugin.py".into(), text: text.into() }], ..Code::default() }
}

fn settings(milliseconds: u64) -> Settings {
    let limits = Limits { time: Duration::from_millis(milliseconds), ..Limits::default() };
    Settings { program: "python3".to_owned(), path: None, limits }
}

fn load(text: &str, names: &[&str], world: &Arc<World>) -> Result<Arc<Python>, Fault> {
    Python::load(&code(text), names, settings(5000), Arc::clone(world) as Arc<dyn Outside>).map(Arc::new)
}

#[tokio::test]
async fn c9_4_row_1_decorated_functions_see_and_change_requests() {
    let text = r#"
from tyk.decorators import *
from gateway import TykGateway as tyk
import json

@Hook
def before(request, session, spec):
    tyk.log("seen", "info")
    print("printed")
    seen = [request.get_header("x-in"), request.object.params["b"], request.object.body, request.object.url,
            request.object.method, request.object.scheme, spec["APIID"], json.loads(spec["config_data"])["k"], session.alias]
    request.object.set_headers["X-Seen"] = " ".join(seen)
    request.add_header("X-Number", 5)
    request.object.delete_headers.append("X-In")
    request.object.add_params["n"] = "1"
    request.object.delete_params.append("b")
    request.object.body += " wörld"
    request.object.url = "/other"
    return request, session

@Hook
def auth(request, session, metadata, spec):
    session.rate = 5
    session.per = 1.0
    session.alias = "them"
    session.metadata["role"] = "admin"
    session.access_rights["api"].versions.append("v1")
    metadata["token"] = "key"
    return request, session, metadata

@Hook
def refuse(request, session, spec):
    request.object.return_overrides.response_code = 418
    request.object.return_overrides.response_body = "tea"
    request.object.return_overrides.headers["X-Pot"] = "1"

@Hook
def after(request, response, session, metadata, spec):
    response.headers["X-After"] = str(response.status_code) + request.object.method
    del response.headers["Server"]
    response.status_code = 202
    response.raw_body = response.raw_body[::-1]
    return response

@Hook
def keep(request, session, spec):
    tyk.store_data("name", "kept", 10)
    request.object.set_headers["X-Kept"] = tyk.get_data("name")
    request.object.set_headers["X-None"] = str(tyk.get_data("nobody"))
    tyk.trigger_event("QuotaExceeded", "it is full")
"#;
    let world: Arc<World> = Arc::default();
    let names = ["before", "auth", "refuse", "after", "keep"];
    let python = load(text, &names, &world).unwrap();
    let session = Session { alias: "me".to_owned(), ..Session::default() };
    let made = call!(python, "before", Hook::Pre, Some(&session)).unwrap().request;
    assert_eq!(made.set_headers["X-Seen"], "1 c hello /a?b=c POST http a v me");
    assert_eq!(
        (&made.set_headers["X-Number"][..], &made.delete_headers[..]),
        ("5", &["X-In".to_owned()][..])
    );
    assert_eq!((&made.add_params["n"][..], &made.delete_params[..]), ("1", &["b".to_owned()][..]));
    assert_eq!((&made.url[..], made.body.unwrap()), ("/other", "hello wörld".into()));
    let outcome = call!(python, "auth", Hook::Auth, None).unwrap();
    let session = outcome.session.unwrap();
    assert_eq!(
        (session.rate, &session.alias[..], &session.meta_data["role"]),
        (5.0, "them", &"admin".into())
    );
    assert_eq!(session.access_rights["api"].versions, ["v1"]);
    assert_eq!((&outcome.metadata["token"], outcome.request.body), (&"key".into(), None));
    let overrides = call!(python, "refuse", Hook::Post, None).unwrap().request.return_overrides;
    assert_eq!((overrides.response_code, overrides.text()), (418, "tea"));
    assert_eq!(overrides.response_headers["X-Pot"], "1");
    let answer = call!(python, "after", Hook::Response, None).unwrap().response.unwrap();
    assert_eq!((answer.status_code, &answer.set_headers["X-After"][0][..]), (202, "200POST"));
    assert_eq!(
        (&answer.delete_headers[..], answer.body.unwrap()),
        (&["Server".to_owned()][..], "rewsna".into())
    );
    let made = call!(python, "keep", Hook::Post, None).unwrap().request;
    assert_eq!((&made.set_headers["X-Kept"][..], &made.set_headers["X-None"][..]), ("kept", "None"));
    let lines = world.lines.lock();
    assert_eq!(
        (&lines[..2], &lines[lines.len() - 1][..]),
        (&["seen".to_owned(), "printed".to_owned()][..], "event QuotaExceeded: it is full")
    );
}

#[tokio::test]
async fn what_hangs_throws_or_dies_costs_only_its_own_call() {
    let text = r#"
from tyk.decorators import Hook
import os, sys, time

@Hook
def hangs(request, session, spec):
    while True:
        try:
            while True: pass
        except BaseException: pass

@Hook
def sleeps(request, session, spec): time.sleep(1000)

@Hook
def throws(request, session, spec):
    raise ValueError("no such thing")

@Hook
def leaves(request, session, spec): sys.exit(3)

@Hook
def dies(request, session, spec): os._exit(3)

@Hook
def odd(request, session, spec): session.quota_max = "many"

@Hook
def fine(request, session, spec): request.object.set_headers["A"] = "b"
"#;
    let names = ["hangs", "sleeps", "throws", "leaves", "dies", "odd", "fine"];
    let world: Arc<dyn Outside> = Arc::new(World::default());
    let python = Arc::new(Python::load(&code(text), &names, settings(1500), world).unwrap());
    let cases = [
        ("hangs", "longer than 1.5s"),
        ("sleeps", "longer than 1.5s"),
        ("throws", "ValueError: no such thing (plugin.py:17)"),
        ("leaves", "SystemExit"),
        ("dies", "is gone"),
        ("odd", "no outcome that can be used"),
    ];
    for (name, expected) in cases {
        let (failed, beside) = tokio::join!(async { call!(python, name, Hook::Pre, None) }, async {
            call!(python, "fine", Hook::Pre, None)
        },);
        let fault = failed.unwrap_err().to_string();
        assert!(fault.contains(expected), "{name}: {fault}");
        assert_eq!(beside.unwrap().request.set_headers["A"], "b", "beside {name}");
        let fine = call!(python, "fine", Hook::Pre, None).unwrap();
        assert_eq!(fine.request.set_headers["A"], "b", "after {name}");
    }
}

#[tokio::test]
async fn processes_that_die_in_a_row_are_started_with_pauses() {
    let text = "import os\ndef dies(request, session, spec): os._exit(3)";
    let python = load(text, &["dies"], &Arc::default()).unwrap();
    let mut faults = Vec::new();
    for _ in 0..4 {
        faults.push(call!(python, "dies", Hook::Pre, None).unwrap_err().to_string());
    }
    assert!(faults[0].contains("is gone") && faults[3].contains("the next one is started in"), "{faults:?}");
    // Whoever asks meanwhile does not put it off.
    let again = async {
        while !call!(python, "dies", Hook::Pre, None).unwrap_err().to_string().contains("is gone") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}

#[test]
fn what_cannot_be_loaded_is_told_with_its_place() {
    for (text, expected) in [
        ("a = 1\nb = = 2", "SyntaxError: invalid syntax (plugin.py:2)"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("\nraise ValueError('early')", "early (plugin.py:2)"),
        ("def other(): pass", "no `wanted`"),
    ] {
        let fault = load(text, &["wanted"], &Arc::default()).unwrap_err().to_string();
        assert!(fault.contains(expected), "{expected}: {fault}");
    }
    let none = Settings { program: "python-of-nobody".to_owned(), ..settings(1000) };
    let fault = Python::load(&code(""), &[], none, Arc::new(World::default())).unwrap_err().to_string();
    assert!(fault.contains("install Python 3"), "{fault}");
}

#[tokio::test]
async fn c9_5_the_files_of_a_bundle_import_each_other_and_are_removed() {
    let main = "from tyk.decorators import *\nfrom lib.names import greet\nimport vendored\n\
        @Hook\ndef pre(request, session, spec):\n    request.object.set_headers['G'] = greet() + vendored.end + __file__\n";
    let version = "lib/names.py";
    let files = [
        ("middleware.py", main),
        (version, "def greet(): return 'hello'"),
        ("vendor/vendored.py", "end = '!'"),
    ];
    let bundle = Bundle {
        manifest: crate::bundle::Manifest::default(),
        files: files.map(|(name, text)| (name.to_owned(), text.into())).into(),
    };
    let code =
        Code { bundle: Some(Arc::new(bundle)), files: vec!["middleware.py".into()], ..Code::default() };
    let world: Arc<dyn Outside> = Arc::new(World::default());
    let python = Arc::new(Python::load(&code, &["pre"], settings(5000), world).unwrap());
    let made = call!(python, "pre", Hook::Pre, None).unwrap().request.set_headers.remove("G").unwrap();
    let path = made.strip_prefix("hello!").unwrap();
    assert!(Path::new(path).exists(), "{path}");
    drop(python);
    assert!(!Path::new(path).exists(), "{path}");
}

#[tokio::test]
async fn c9_1_records_are_edited_in_place_or_given_back() {
    let text = r#"
from tyk.decorators import *
import json

@Hook
def place(record, spec):
    record.path = "/users/" + spec["APIID"]
    del record.api_key
    record.response_code += 1
    record.latency.total += 1
    record.tags.append(json.loads(spec["config_data"])["k"])

@Hook
def given(record, spec):
    place(record, spec)
    return record

@Hook
def broken(record):
    raise ValueError("no")
"#;
    let python = load(text, &["place", "given", "broken"], &Arc::default()).unwrap();
    let spec = crate::testing::spec();
    for name in ["place", "given", "place"] {
        crate::testing::edited(&python.record(name, crate::testing::RECORD, &spec).await.unwrap());
    }
    let fault = python.record("broken", crate::testing::RECORD, &spec).await.unwrap_err().to_string();
    assert!(fault.contains("no"), "{fault}");
}

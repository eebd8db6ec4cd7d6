//! Calls that are tried at once, and done again elsewhere when they take longer or ask for something outside.

use std::time::Duration;

use super::*;
use crate::testing::{World, request, spec};

fn load(text: &str, world: &Arc<World>) -> Arc<Scripts> {
    let source = Source { name: "s.js".into(), text: text.into() };
    // So long that a busy machine is no reason to fail.
    let limits = Limits { time: Duration::from_secs(20), memory: 16 << 20 };
    Arc::new(Scripts::load(vec![source], limits, Arc::clone(world) as Arc<dyn Outside>).unwrap())
}

async fn call(scripts: &Arc<Scripts>, name: &str) -> Result<Outcome, Fault> {
    crate::testing::call!(scripts, name, Hook::Pre, None)
}

#[tokio::test]
async fn what_asks_for_something_outside_does_it_once_and_says_it_once() {
    let script = r#"
        const asks = (request) => { log("before"); TykStorageIncr("n", 1); log("after"); };
        const hides = (request) => {
            log("hides");
            try { TykStorageIncr("n", 1); } catch (fault) { log("caught"); }
            request.SetHeaders.Kept = TykStorageGet("n");
        };"#;
    let world: Arc<World> = Arc::default();
    let scripts = load(script, &world);
    for round in 1..=3 {
        call(&scripts, "asks").await.unwrap();
        let kept = call(&scripts, "hides").await.unwrap().request.set_headers;
        assert_eq!(kept["Kept"], (2 * round).to_string());
    }
    assert_eq!(*world.lines.lock(), ["before", "after", "hides"].repeat(3));
}

#[tokio::test]
async fn what_takes_longer_is_done_from_its_beginning_in_an_engine_that_knows_nothing_of_it() {
    let script = r#"
        var begun = 0;
        const long = (request) => {
            begun += 1;
            log("long");
            for (const end = Date.now() + 30; Date.now() < end;);
            request.SetHeaders.Begun = "" + begun;
        };
        const short = (request) => { log("short"); request.SetHeaders.Short = "yes"; };"#;
    let world: Arc<World> = Arc::default();
    let scripts = load(script, &world);
    assert_eq!(call(&scripts, "long").await.unwrap().request.set_headers["Begun"], "1");
    for _ in 0..300 {
        assert_eq!(call(&scripts, "short").await.unwrap().request.set_headers["Short"], "yes");
    }
    let lines = world.lines.lock();
    assert_eq!((lines.len(), &lines[..2]), (301, &["long".to_owned(), "short".to_owned()][..]));
}

#[tokio::test]
async fn what_is_short_is_done_on_the_thread_that_asks() {
    let script = "const quick = (request) => { request.SetHeaders.A = 'b'; };";
    let scripts = load(script, &Arc::default());
    // Nothing else may run in between: the call is over when it is first looked at.
    let (request, spec) = (request(), spec());
    let asked = Call {
        hook: Hook::Pre,
        request: &request,
        response: None,
        session: None,
        spec: &spec,
        raw_body_only: false,
    };
    let tried = (0..300).any(|_| {
        let mut call = Box::pin(scripts.call("quick", &asked));
        let waker = std::task::Waker::noop();
        call.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready()
    });
    assert!(tried, "each of many calls went to another thread");
}

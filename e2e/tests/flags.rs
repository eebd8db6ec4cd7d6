//! What refusals are called (contract 4.2, "Classification flags"): rules of errors fit by the cause.

use std::time::Duration;

use e2e::definition::keyless;
use e2e::{Authority, Gate, Shown, Upstream, front};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};

/// Has an API say by which flag its errors are known.
fn telling(mut api: Value, flags: &[&str]) -> Value {
    let rule = |flag: &&str| json!({"match": {"flag": flag}, "response": {"headers": {"X-Flag": flag}}});
    let rules: Vec<Value> = flags.iter().map(rule).collect();
    api["error_overrides"] = json!({"4xx": rules, "5xx": rules});
    api
}

const ALL: [&str; 18] = [
    "TLE", "TLC", "TLI", "TLM", "TLN", "TLH", "TLP", "TLA", "UCF", "UCT", "URT", "URR", "EPI", "CAB", "NRS",
    "DNS", "CLM", "BTL",
];

#[tokio::test]
async fn c4_2_row_6_upstreams_that_cannot_be_reached_have_the_flag_of_the_cause() {
    let upstream = Upstream::start().await;
    let (known, unknown) = (Authority::new(), Authority::named("nobody"));
    let clear = upstream.authority();
    let shown = async |shown: &Shown, clients: Option<&Authority>| {
        format!("https://localhost:{}", front(&clear, shown, clients).await)
    };
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let own = (own.cert, own.signing_key);
    let good = known.sign(&["localhost"]);
    let targets = [
        ("expired", shown(&known.sign_until(&["localhost"], 2001), None).await, "TLE"),
        ("named", shown(&known.sign(&["other.test"]), None).await, "TLM"),
        ("own", shown(&own, None).await, "TLI"),
        ("unknown", shown(&unknown.sign(&["localhost"]), None).await, "TLC"),
        ("asked", shown(&good, Some(&unknown)).await, "TLH"),
        ("clear", format!("https://{clear}"), "TLP"),
        ("refusing", format!("http://127.0.0.1:{}", e2e::free_port()), "UCF"),
        ("nameless", "http://no-such-host.invalid".to_owned(), "DNS"),
    ];
    let files = Gate::setup().file("root.pem", &known.pem()).prepare();
    let root = files.dir().join("root.pem").display().to_string();
    let mut setup = Gate::setup().env("SSL_CERT_FILE", &root);
    for (id, target, _) in &targets {
        setup = setup.api(telling(keyless(id, target), &ALL));
    }
    let mut without = telling(keyless("without", &shown(&good, None).await), &ALL);
    without["upstream_certificates"] = json!({"*": "gone"});
    // The original has one flag for any authority that it does not know.
    let broad = telling(keyless("broad", &targets[3].1), &["TLI"]);
    let gate = setup.api(without).api(broad).start().await;
    let more = [("without", "TLN"), ("broad", "TLI")];
    for (id, flag) in targets.iter().map(|(id, _, flag)| (*id, *flag)).chain(more) {
        let reply = gate.get(&format!("/{id}/x"), &[]).await;
        assert_eq!(
            (reply.status, reply.header("x-flag").as_deref()),
            (500, Some(flag)),
            "{id}: {}",
            gate.log()
        );
    }
    assert_eq!(upstream.hits(), 0);
}

/// What listens there has its queue full, so that the kernel leaves further ones without an answer.
#[tokio::test]
async fn c4_2_row_6_connections_that_do_not_come_about_in_time_are_told_apart() {
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = silent.listen(1).unwrap();
    let quiet = silent.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(quiet)).await
    {
        filling.push(stream);
    }
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"proxy_default_timeout": 1}))
        .api(telling(keyless("quiet", &format!("http://{quiet}")), &ALL))
        .api(telling(keyless("broad", &format!("http://{quiet}")), &["URT"]))
        .api(telling(keyless("slow", &upstream.url("")), &ALL))
        .start()
        .await;
    for (path, flag) in [("/quiet/x", "UCT"), ("/broad/x", "URT"), ("/slow/slow/5000", "URT")] {
        let reply = gate.get(path, &[]).await;
        assert_eq!((reply.status, reply.header("x-flag").as_deref()), (504, Some(flag)), "{path}");
    }
}

#[tokio::test]
async fn c4_2_row_6_bodies_without_their_length_have_a_flag_of_their_own() {
    let upstream = Upstream::start().await;
    let mut api = telling(keyless("a", &upstream.url("")), &ALL);
    api["version_data"]["versions"]["Default"]["global_size_limit"] = json!(4);
    let gate = Gate::setup().api(api).start().await;
    for (arguments, status, flag) in [
        (&["-H", "Transfer-Encoding: chunked", "-d", "1"][..], 411, Some("CLM")),
        (&["-d", "12345"], 400, Some("BTL")),
        (&["-d", "1234"], 200, None),
    ] {
        let reply = gate.get("/a/x", arguments).await;
        assert_eq!((reply.status, reply.header("x-flag").as_deref()), (status, flag), "{arguments:?}");
    }
}

//! What the built-in template makes of each kind of event.

use std::time::{Duration, UNIX_EPOCH};

use apidef::Event;
use serde_json::{Value, json};

use super::*;

fn told(event: Event, meta: Value) -> Told {
    let meta = meta.as_object().unwrap().clone();
    let at = UNIX_EPOCH + Duration::from_millis(951_782_400_120);
    Told { event, at, api: Some("a".into()), org: "o".into(), meta }
}

#[test]
fn c8_12_row_11_the_built_in_template_tells_each_kind_of_event() {
    let template = Template::parse("t", BUILT_IN).unwrap();
    let host = json!({"Message": "m", "HostInfo": {"CheckURL": "http://h/", "ResponseCode": 500, "IsTCPError": false,
        "MetaData": {"host_name": "h", "api_id": "a"}}});
    for (event, meta, expected) in [
        (
            Event::AuthFailure,
            json!({"Message": "Auth \"Failure\"", "Path": "/p\\", "Origin": "1.2.3.4", "Key": "k"}),
            json!({"event": "AuthFailure", "message": "Auth &#34;Failure&#34;", "path": "/p&#92;", "origin": "1.2.3.4",
                "key": "k"}),
        ),
        (
            Event::HostDown,
            host.clone(),
            json!({"event": "HostDown", "message": "m", "url": "http://h/", "response_code": "500",
                "tcp_error": "false", "host": "h", "api_id": "a"}),
        ),
        (
            Event::BreakerTripped,
            json!({"Message": "m", "APIID": "a", "Path": "/p", "CircuitEvent": 0}),
            json!({"event": "BreakerTripped", "message": "m", "api_id": "a", "path": "/p", "Status": "0"}),
        ),
        (
            Event::TriggerExceeded,
            json!({"Message": "m", "org_id": "o", "key": "k", "trigger_limit": 80, "usage_percentage": 81}),
            json!({"event": "TriggerExceeded", "message": "m", "org": "o", "key": "k", "trigger_limit": "80"}),
        ),
        (
            Event::TokenDeleted,
            json!({"Message": "m", "Org": "o", "Key": "k"}),
            json!({"event": "TokenDeleted", "message": "m", "org": "o", "key": "k"}),
        ),
        (
            Event::CertificateExpired,
            json!({"Message": "m", "CertID": "c", "CertName": "n", "CertRole": "server", "ExpiresAt": "e",
                "DaysRemaining": -1, "APIID": "a"}),
            json!({"event": "CertificateExpired", "message": "m", "cert_id": "c", "cert_name": "n",
                "cert_role": "server", "expires_at": "e", "days_remaining": "-1", "api_id": "a",
                "timestamp": "2000-02-29T00:00:00Z"}),
        ),
    ] {
        let made = template.render(&told(event, meta).data()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&made).ok(), Some(expected), "{made}");
    }
    // Whatever the kind, it makes JSON.
    for event in Event::ALL {
        let made = template.render(&told(*event, host.clone()).data()).unwrap();
        assert!(serde_json::from_str::<Value>(&made).is_ok(), "{made}");
    }
}

#[test]
fn c8_12_row_12_the_kind_of_content_is_told_by_the_name_of_the_template() {
    for (name, kind) in [
        ("", "application/json"),
        ("a.json", "application/json"),
        ("a.xml", "application/xml"),
        ("a", "application/json"),
    ] {
        assert_eq!(kind_of(name), kind);
    }
}

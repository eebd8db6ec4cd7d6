//! What records are labelled with (contract 11.1, `tags`).

use std::sync::{Arc, LazyLock};

use apidef::{Api, Session};
use http::HeaderMap;

use crate::exchange::Exchange;

/// Longer values of fields are cut, so that what a client sends does not fill the queue of records.
const LONGEST: usize = 256;
/// So many values of one field become tags.
const MOST: usize = 8;

/// Whose key it is, where a portal has given it (contract 5.2, `meta_data.tyk_developer_id`).
const DEVELOPER: &str = "tyk_developer_id";

/// As the original calls whatever no backend has answered.
static CACHED: LazyLock<Arc<str>> = LazyLock::new(|| "cached-response".into());

/// The tags of an exchange: those of policies and session, of fields that the API names, of the API, and of its trace. Where they all
/// come from one of these, nothing is copied.
pub(super) fn of(exchange: &Exchange, trace: Option<&str>) -> Arc<[Arc<str>]> {
    let of_api = &exchange.api.identity.tags;
    let of_caller = exchange.caller.as_ref().map(|caller| caller.tags()).filter(|tags| !tags.is_empty());
    let named = &exchange.api.model.recording.tag_headers;
    if named.is_empty() && !exchange.mocked && trace.is_none() {
        match of_caller {
            None => return Arc::clone(of_api),
            Some(tags) if of_api.is_empty() => return Arc::clone(tags),
            Some(_) => {}
        }
    }
    let mut tags: Vec<Arc<str>> = of_caller.map(|tags| tags.to_vec()).unwrap_or_default();
    of_headers(exchange.noted.headers.as_ref().unwrap_or(&exchange.head.headers), named, &mut tags);
    tags.extend(of_api.iter().cloned());
    if exchange.mocked {
        tags.push(Arc::clone(&CACHED));
    }
    tags.extend(trace.map(|id| Arc::from(format!("trace-id-{id}"))));
    tags.into()
}

/// The tags of an API.
pub(crate) fn of_api(api: &Api) -> Arc<[Arc<str>]> {
    let graph = api.graphql.as_ref().map(|_| "tyk-graph-analytics");
    api.tags.iter().map(|tag| &**tag).chain(graph).map(Arc::from).collect()
}

/// The tags of whoever has this session, its policies applied.
pub(crate) fn of_session(session: &Session) -> Arc<[Arc<str>]> {
    let policies = session.apply_policies.iter().map(|policy| Arc::from(format!("pol-{policy}")));
    let developer = session.meta_data.get(DEVELOPER).and_then(serde_json::Value::as_str);
    let developer = developer.filter(|id| !id.is_empty()).map(|id| {
        let end = id.floor_char_boundary(LONGEST);
        Arc::from(format!("dev-{}", &id[..end]))
    });
    policies.chain(developer).chain(session.tags.iter().map(|tag| Arc::from(&**tag))).collect()
}

fn of_headers(headers: &HeaderMap, names: &[Box<str>], tags: &mut Vec<Arc<str>>) {
    for name in names {
        for value in headers.get_all(&**name).iter().take(MOST) {
            let value = String::from_utf8_lossy(value.as_bytes());
            let end = value.floor_char_boundary(LONGEST);
            tags.push(format!("{name}-{}", &value[..end]).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_come_before_the_tags_of_the_session() {
        let session: Session =
            serde_json::from_str(r#"{"apply_policies": ["gold", "free"], "tags": ["eu"]}"#).unwrap();
        let tags: Vec<String> = of_session(&session).iter().map(|tag| tag.to_string()).collect();
        assert_eq!(tags, ["pol-gold", "pol-free", "eu"]);
    }

    #[test]
    fn c6_1_row_25_developers_come_between_policies_and_tags_contract_11_1() {
        for (meta_data, expected) in [
            (r#"{"tyk_developer_id": "d1", "x": 1}"#, &["pol-gold", "dev-d1", "eu"][..]),
            (r#"{"tyk_developer_id": ""}"#, &["pol-gold", "eu"]),
            (r#"{"tyk_developer_id": 7}"#, &["pol-gold", "eu"]),
            ("{}", &["pol-gold", "eu"]),
        ] {
            let text = format!(r#"{{"apply_policies": ["gold"], "tags": ["eu"], "meta_data": {meta_data}}}"#);
            let session: Session = serde_json::from_str(&text).unwrap();
            let tags: Vec<String> = of_session(&session).iter().map(|tag| tag.to_string()).collect();
            assert_eq!(tags, expected, "{meta_data}");
        }
    }

    #[test]
    fn fields_are_bounded() {
        let mut headers = HeaderMap::new();
        for _ in 0..20 {
            headers.append("x-team", "é".repeat(300).parse().unwrap());
        }
        let mut tags = Vec::new();
        of_headers(&headers, &["x-team".into(), "x-absent".into()], &mut tags);
        assert_eq!(tags.len(), MOST);
        assert_eq!(&*tags[0], format!("x-team-{}", "é".repeat(128)));
    }
}

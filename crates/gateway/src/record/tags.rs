//! What records are labelled with (contract 11.1, `tags`).

use std::sync::Arc;

use apidef::Session;
use http::HeaderMap;

use crate::exchange::Exchange;

/// Longer values of fields are cut, so that what a client sends does not fill the queue of records.
const LONGEST: usize = 256;
/// So many values of one field become tags.
const MOST: usize = 8;

/// The tags of an exchange: those of policies and session, of fields that the API names, and of the API. Where there are
/// only the first, nothing is copied.
pub(super) fn of(exchange: &Exchange) -> Arc<[Arc<str>]> {
    let model = &exchange.api.model;
    let of_caller = exchange.caller.as_ref().map(|caller| caller.tags());
    let of_api = !model.tags.is_empty() || !model.recording.tag_headers.is_empty() || model.graphql.is_some();
    if !of_api && !exchange.mocked {
        return of_caller.cloned().unwrap_or_default();
    }
    let mut tags: Vec<Arc<str>> = of_caller.map(|tags| tags.to_vec()).unwrap_or_default();
    let headers = exchange.noted.headers.as_ref().unwrap_or(&exchange.head.headers);
    of_headers(headers, &model.recording.tag_headers, &mut tags);
    tags.extend(model.tags.iter().map(|tag| Arc::from(&**tag)));
    if model.graphql.is_some() {
        tags.push("tyk-graph-analytics".into());
    }
    if exchange.mocked {
        // As the original calls whatever no backend has answered.
        tags.push("cached-response".into());
    }
    tags.into()
}

/// The tags of whoever has this session, its policies applied.
pub(crate) fn of_session(session: &Session) -> Arc<[Arc<str>]> {
    let policies = session.apply_policies.iter().map(|policy| Arc::from(format!("pol-{policy}")));
    policies.chain(session.tags.iter().map(|tag| Arc::from(&**tag))).collect()
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

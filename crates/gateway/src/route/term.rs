//! Until when an API, or one of its versions, is served (contract 8.1, "Expiry").

use std::time::{Duration, SystemTime};

use apidef::Api;
use http::StatusCode;
use http::header::HeaderValue;

use crate::clock::unix_now;
use crate::respond::Refusal;

/// Refuses what comes too late.
#[derive(Debug)]
pub(crate) struct Term {
    api: Option<i64>,
    version: Option<i64>,
}

impl Term {
    /// `None` for an API that never ends.
    pub(crate) fn of(api: &Api) -> Option<Self> {
        let term = Self { api: api.expires, version: api.version_expires };
        (term.api.is_some() || term.version.is_some()).then_some(term)
    }

    pub(crate) fn pass(&self) -> Result<(), Refusal> {
        self.at(unix_now())
    }

    fn at(&self, now: i64) -> Result<(), Refusal> {
        let over = |end: Option<i64>| end.is_some_and(|end| end <= now);
        let text = if over(self.api) {
            "API has expired, please check documentation or contact administrator"
        } else if over(self.version) {
            "Api Version has expired, please check documentation or contact administrator"
        } else {
            return Ok(());
        };
        Err(Refusal::client(StatusCode::FORBIDDEN, "VNF", text))
    }

    /// What answers say of it: the end that comes first, as in RFC 1123, in UTC.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let end = self.api.into_iter().chain(self.version).min()?;
        let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(end).ok()?))?;
        let text = httpdate::fmt_http_date(end);
        HeaderValue::try_from(format!("{} UTC", text.strip_suffix(" GMT")?)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_and_kept() {
        let term = Term { api: Some(100), version: Some(50) };
        assert_eq!(term.header().unwrap(), "Thu, 01 Jan 1970 00:00:50 UTC");
        for (now, text) in [(49, None), (50, Some("Api Version has expired")), (100, Some("API has expired"))]
        {
            let told = term.at(now).err().map(|refusal| refusal.message);
            assert_eq!(told.is_some(), text.is_some(), "{now}");
            assert!(text.is_none_or(|text| told.unwrap().starts_with(text)), "{now}");
        }
    }
}

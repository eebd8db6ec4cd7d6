//! The OAuth 2.0 server of an API (contract 2.2, 3.3, 5.6): which tokens it gives, to whom, and where users log in.

use super::jwt::{address, some};
use super::{SOURCE, Sources};
use crate::fields::{Field, acts, section};
use crate::section::Section;
use crate::{Secret, Target};
use document::{Fault, pointer_join};
use serde_json::{Value, json};

/// Tokens that the gate gives itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OAuth {
    /// Where they are looked for.
    pub sources: Sources,
    /// What clients may get tokens for.
    pub grants: Grants,
    /// What a user's authorisation may be asked for.
    pub responses: Responses,
    /// Where users are sent to log in; an address or a path.
    pub login: Option<Box<str>>,
    /// Who is told of new tokens.
    pub on_new_token: Option<NewTokenNotice>,
}

/// What a token may be given for (RFC 6749 section 1.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grants {
    /// A code that a user's authorisation led to.
    pub code: bool,
    /// A refresh token.
    pub refresh: bool,
    /// A user's name and password.
    pub password: bool,
    /// The client's own credentials.
    pub client_credentials: bool,
}

/// What a user's authorisation may lead to (RFC 6749 section 3.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Responses {
    /// A code.
    pub code: bool,
    /// A token at once (implicit).
    pub token: bool,
}

/// Where new tokens are told.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTokenNotice {
    /// Address.
    pub url: Target,
    /// Shown to it, so that it knows who tells.
    pub secret: Secret,
}

/// A scheme that OpenAPI calls `oauth2` and that has no `providers`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("header", SOURCE),
    section("query", SOURCE),
    section("cookie", SOURCE),
    acts("allowedAuthorizeTypes"),
    acts("refreshToken"),
    acts("authLoginRedirect"),
    section("notifications", &[acts("sharedSecret"), acts("onKeyChangeUrl")]),
];

/// `oauth_meta`.
pub(crate) const CLASSIC: &[Field] =
    &[acts("allowed_access_types"), acts("allowed_authorize_types"), acts("auth_login_redirect")];

/// `notifications`.
pub(crate) const CLASSIC_NOTICES: &[Field] = &[acts("shared_secret"), acts("oauth_on_keychange_url")];

impl OAuth {
    pub(super) fn classic(root: &Section<'_>, configs: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let meta = root.section("oauth_meta", faults);
        let mut grants = Grants::default();
        for (at, name) in entries(&meta, "allowed_access_types", faults) {
            let grant = match &*name {
                "authorization_code" => &mut grants.code,
                "refresh_token" => &mut grants.refresh,
                "password" => &mut grants.password,
                "client_credentials" => &mut grants.client_credentials,
                other => {
                    faults.push(
                        Fault::error(at, format!("`{other}` is nothing that tokens are given for"))
                            .hint("use authorization_code, refresh_token, password or client_credentials"),
                    );
                    continue;
                }
            };
            *grant = true;
        }
        let notices = root.section("notifications", faults);
        let read = Self {
            sources: Sources::classic(&configs.section("oauth", faults), "oauth", faults),
            grants,
            responses: responses(&meta, "allowed_authorize_types", faults),
            login: login(&meta, "auth_login_redirect", faults),
            on_new_token: notice(&notices, "oauth_on_keychange_url", "shared_secret", faults),
        };
        read.tell(&meta, "auth_login_redirect", faults);
        read
    }

    /// What tokens are given for are the flows that OpenAPI names.
    pub(super) fn oas(scheme: &Section<'_>, component: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let flows = component.section("flows", faults);
        let notices = scheme.section("notifications", faults);
        let read = Self {
            sources: Sources::oas_http(scheme, faults),
            grants: Grants {
                code: flows.get("authorizationCode").is_some(),
                refresh: scheme.flag("refreshToken", faults),
                password: flows.get("password").is_some(),
                client_credentials: flows.get("clientCredentials").is_some(),
            },
            responses: responses(scheme, "allowedAuthorizeTypes", faults),
            login: login(scheme, "authLoginRedirect", faults),
            on_new_token: notice(&notices, "onKeyChangeUrl", "sharedSecret", faults),
        };
        read.tell(scheme, "authLoginRedirect", faults);
        read
    }

    /// What is allowed and yet leads nowhere.
    fn tell(&self, holder: &Section<'_>, login: &str, faults: &mut Vec<Fault>) {
        let Grants { code, password, client_credentials, .. } = self.grants;
        let Responses { code: codes, token } = self.responses;
        if !(code && codes || password || client_credentials || token) {
            let text = "nothing that is allowed here leads to a token, so this API gives none";
            faults.push(Fault::warning(holder.pointer.clone(), text));
        }
        if (codes || token) && self.login.is_none() {
            let text = format!("without `{login}` users cannot be sent to log in");
            faults.push(Fault::warning(holder.at(login), text));
        }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        let named = |names: &[(&str, bool)]| -> Value {
            names.iter().filter(|(_, allowed)| *allowed).map(|(name, _)| *name).collect()
        };
        definition["use_oauth2"] = true.into();
        definition["auth_configs"]["oauth"] = self.sources.write_classic();
        definition["oauth_meta"] = json!({
            "allowed_access_types": named(&[
                ("authorization_code", self.grants.code),
                ("refresh_token", self.grants.refresh),
                ("password", self.grants.password),
                ("client_credentials", self.grants.client_credentials),
            ]),
            "allowed_authorize_types": named(&[("code", self.responses.code), ("token", self.responses.token)]),
            "auth_login_redirect": self.login.as_deref().unwrap_or_default(),
        });
        let notice = self.on_new_token.as_ref();
        definition["notifications"] = json!({
            "shared_secret": notice.map_or("", |notice| notice.secret.0.as_str()),
            "oauth_on_keychange_url": notice.map(|notice| notice.url.written()).unwrap_or_default(),
        });
    }
}

fn entries(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Vec<(String, Box<str>)> {
    let texts = holder.texts(key, faults);
    let at = |index: usize| pointer_join(&holder.at(key), &index.to_string());
    texts.into_iter().enumerate().map(|(index, text)| (at(index), text)).collect()
}

fn responses(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Responses {
    let mut responses = Responses::default();
    for (at, name) in entries(holder, key, faults) {
        match &*name {
            "code" => responses.code = true,
            "token" => responses.token = true,
            other => faults.push(
                Fault::error(at, format!("`{other}` is nothing that an authorisation can lead to"))
                    .hint("use code or token"),
            ),
        }
    }
    responses
}

/// An address, or a path on the same host.
fn login(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let login = some(holder.text(key, faults))?;
    let path = login.starts_with('/') && !login.starts_with("//");
    let printable = login.bytes().all(|byte| byte.is_ascii_graphic());
    let usable = printable && !login.contains('#') && (path || Target::parse(&login).is_ok());
    if !usable {
        let text = format!("`{login}` is no address that users can be sent to");
        faults.push(
            Fault::error(holder.at(key), text)
                .hint("write an address such as `https://login.example/authorize`"),
        );
    }
    usable.then_some(login)
}

fn notice(holder: &Section<'_>, url: &str, secret: &str, faults: &mut Vec<Fault>) -> Option<NewTokenNotice> {
    let text = holder.text(url, faults);
    let secret = Secret(holder.text(secret, faults).to_owned());
    if text.is_empty() {
        return None;
    }
    Some(NewTokenNotice { url: address(text, holder.at(url), faults)?, secret })
}

#[cfg(test)]
mod tests {
    use super::*;
    use document::Severity;

    fn read(definition: &Value) -> (OAuth, Vec<Fault>) {
        let mut faults = Vec::new();
        let root = Section::root(definition, &mut faults);
        let configs = root.section("auth_configs", &mut faults);
        let read = OAuth::classic(&root, &configs, &mut faults);
        (read, faults)
    }

    #[test]
    fn c3_3_row_7_what_is_written_is_read_back() {
        let (first, faults) = read(&json!({
            "oauth_meta": {
                "allowed_access_types": ["authorization_code", "refresh_token"],
                "allowed_authorize_types": ["code", "token"],
                "auth_login_redirect": "https://login.example/in",
            },
            "notifications": {"shared_secret": "s", "oauth_on_keychange_url": "http://a.example/new"},
            "auth_configs": {"oauth": {"use_param": true, "param_name": "access_token"}},
        }));
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(first.grants, Grants { code: true, refresh: true, ..Grants::default() });
        let mut written = json!({"auth_configs": {}});
        first.write_classic(&mut written);
        assert_eq!(read(&written).0, first);
        assert!(!format!("{first:?}").contains("\"s\""), "{first:?}");
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        let cases = [
            (json!({"allowed_access_types": ["implicit"]}), "/oauth_meta/allowed_access_types/0", true),
            (json!({"allowed_authorize_types": ["id_token"]}), "/oauth_meta/allowed_authorize_types/0", true),
            (json!({"auth_login_redirect": "javascript:alert(1)"}), "/oauth_meta/auth_login_redirect", true),
            (json!({"auth_login_redirect": "//evil.example"}), "/oauth_meta/auth_login_redirect", true),
            (json!({"auth_login_redirect": "/a b"}), "/oauth_meta/auth_login_redirect", true),
            (json!({"auth_login_redirect": "/a\r\nX: y"}), "/oauth_meta/auth_login_redirect", true),
            (json!({"allowed_access_types": ["refresh_token"]}), "/oauth_meta", false),
            (json!({"allowed_authorize_types": ["token"]}), "/oauth_meta/auth_login_redirect", false),
        ];
        for (meta, at, refused) in cases {
            let (_, faults) = read(&json!({"oauth_meta": meta}));
            let found = faults.iter().find(|fault| fault.pointer == at);
            let found = found.unwrap_or_else(|| panic!("{meta}: {faults:?}"));
            assert_eq!(found.severity == Severity::Error, refused, "{meta}: {found:?}");
        }
    }
}

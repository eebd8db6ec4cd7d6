//! A filter of proxy-wasm: greets by a header, refuses a path, and signs answers. In the place of authentication it lets
//! friends in, and on records it puts paths with numbers together.
//!
//! ```sh
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { greeting: String::new() }));
}}

/// The filter, with its configuration: `config_data` of the definition.
struct Root {
    greeting: String,
}

/// One request or answer.
struct Filter {
    greeting: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        self.greeting = String::from_utf8_lossy(&text).into_owned();
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { greeting: self.greeting.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Filter {}

impl Filter {
    fn property(&self, path: Vec<&str>) -> Option<String> {
        self.get_property(path).and_then(|value| String::from_utf8(value).ok())
    }

    /// Who names a friend gets a session; what is set here says who is calling.
    fn authenticate(&self) -> Action {
        let shown = self.get_http_request_header("authorization").unwrap_or_default();
        let Some(name) = shown.strip_prefix("friend-") else {
            self.send_http_response(401, vec![], Some(b"friends only"));
            return Action::Pause;
        };
        self.set_property(vec!["metadata", "token"], Some(shown.as_bytes()));
        self.set_property(vec!["session", "alias"], Some(name.as_bytes()));
        self.set_property(vec!["session", "rate"], Some(b"100"));
        self.set_property(vec!["session", "per"], Some(b"1"));
        Action::Continue
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if self.property(vec!["hook"]).as_deref() == Some("auth") {
            return self.authenticate();
        }
        let path = self.get_http_request_header(":path").unwrap_or_default();
        if path.contains("/teapot") {
            self.send_http_response(418, vec![("x-pot", "small")], Some(b"this gate brews no tea"));
            return Action::Pause;
        }
        self.set_http_request_header("x-configured", Some(&self.greeting));
        self.set_http_request_header("x-internal", None);
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_request_body(0, size).unwrap_or_default();
        self.set_http_request_body(0, size, &body.to_ascii_uppercase());
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let status = self.get_http_response_header(":status").unwrap_or_default();
        self.add_http_response_header("x-filtered", &status);
        Action::Continue
    }

    /// At the end of every call; only on records there is a record.
    fn on_log(&mut self) {
        let Some(path) = self.property(vec!["record", "path"]) else { return };
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts = path.split('/').map(|part| if is_number(&part) { "{id}" } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        self.set_property(vec!["record", "path"], Some(path.as_bytes()));
    }
}

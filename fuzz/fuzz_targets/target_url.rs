//! Whatever a target URL is, what is shown of it reads again as the same place, and shows no credentials. What is written of a rule
//! of an egress policy is a rule.
#![no_main]

use apidef::Target;
use libfuzzer_sys::fuzz_target;
use streams::EgressRule;

fuzz_target!(|text: &str| {
    if let Ok(target) = Target::parse(text) {
        let shown = target.to_string();
        let again = Target::parse(&shown).expect("what is shown is a URL");
        assert_eq!(again, Target { credentials: None, ..target.clone() });
        assert!(!target.authority.contains('@'));
        let _ = target.basic();
    }
    let _ = Target::shown(text);
    if let Ok(rule) = text.parse::<EgressRule>() {
        assert!(rule.to_string().parse::<EgressRule>().is_ok());
    }
});

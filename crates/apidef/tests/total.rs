//! Whatever comes in, a parser answers: a definition or faults with places, never a panic.

use apidef::Definition;

const SEEDS: [&str; 2] = [
    r#"{"api_id":"a","domain":"x.y","tags":["t"],"use_keyless":false,"auth_configs":{"authToken":{"use_param":true}},"proxy":{"listen_path":"/a/","target_url":"http://h:80/p?q"},"global_rate_limit":{"rate":1,"per":1},"version_data":{"not_versioned":true,"versions":{"v":{"use_extended_paths":true,"extended_paths":{"white_list":[]},"global_enforce_timeout":"1s"}}},"allowed_ips":[]}"#,
    r#"{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{},"components":{"securitySchemes":{"k":{"type":"apiKey","in":"header","name":"n"}}},"security":[{"k":[]}],"x-tyk-api-gateway":{"info":{"id":"a","state":{"active":true}},"upstream":{"url":"http://h","rateLimit":{"enabled":true,"rate":1,"per":"1s"}},"server":{"listenPath":{"value":"/"},"authentication":{"enabled":true,"securitySchemes":{"k":{"enabled":true}}}}},"x-tyk-streaming":{"streams":{"s":{"input":{}}}}}"#,
];

/// Pieces that replace others: wrong types, empty and odd texts, broken JSON.
const PIECES: [&str; 16] = [
    "null",
    "true",
    "0",
    "-1",
    "1e308",
    "\"\"",
    "\"x\"",
    "[]",
    "{}",
    "[null]",
    "{\"\":{}}",
    "\"\\ud83d\\ude00\"",
    "\"/{\"",
    ",",
    "}",
    "\"é",
];

#[test]
fn every_token_replaced_by_every_piece() {
    let mut read = 0;
    for seed in SEEDS {
        let tokens = tokens(seed);
        for (start, end) in tokens {
            for (index, piece) in PIECES.iter().enumerate() {
                let text = format!("{}{piece}{}", &seed[..start], &seed[end..]);
                // Now and then as the format that it is not.
                let mut results = vec![Definition::parse(&text)];
                if index % 8 == 3 {
                    results.extend([Definition::parse_classic(&text), Definition::parse_oas(&text)]);
                }
                for result in results {
                    match result {
                        Ok(definition) => {
                            read += 1;
                            let _ = definition.classic();
                            let again = Definition::parse(&definition.text);
                            assert_eq!(again.map(|again| again.text).ok().as_ref(), Some(&definition.text));
                        }
                        Err(faults) => {
                            assert!(faults.iter().any(|fault| fault.is_error()), "{text}");
                            for fault in &faults {
                                assert!(fault.place.is_some(), "{text}: {fault:?}");
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(read > 100, "{read}");
}

/// Strings, words and single characters of a JSON text.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        if bytes[start] == b'"' {
            while bytes[at] != b'"' {
                at += 1;
            }
            at += 1;
        } else if bytes[start].is_ascii_alphanumeric() {
            while bytes[at].is_ascii_alphanumeric() {
                at += 1;
            }
        }
        tokens.push((start, at));
    }
    tokens
}

use apidef::Versions as Served;

use super::*;

fn in_path(slug: &str) -> Versions {
    let versioning = Versioning {
        enabled: true,
        name: "v1".into(),
        default: "self".into(),
        location: VersionLocation::Path,
        slug: slug.into(),
        strip: true,
        url_pattern: None,
        fallback_to_default: false,
        versions: Served::Others([("v2".into(), "b".into())].into()),
    };
    *Versions::compile(&versioning, None).unwrap()
}

#[test]
fn c2_1_row_3_names_are_read_and_taken_off() {
    for (slug, uri, matched, asked, expected) in [
        ("", "/app/v2/x?a=1", 5, "v2", "/app/x?a=1"),
        ("", "/app/v2/x", 4, "v2", "/app/x"),
        ("", "/app/v2", 5, "v2", "/app/"),
        ("", "/app/v2", 4, "v2", "/app/"),
        ("", "/app/v2/", 5, "v2", "/app/"),
        ("", "/v2/x", 1, "v2", "/x"),
        ("", "/v2", 1, "v2", "/"),
        ("", "/app/%76%32/x", 5, "v2", "/app/x"),
        ("", "/app/other/x", 5, "other", "/app/other/x"),
        ("", "/app/", 5, "", "/app/"),
        ("", "/app", 4, "", "/app"),
        ("shop", "/app/shop/v2/x", 5, "v2", "/app/shop/x"),
        ("shop", "/app/v1/x", 5, "v1", "/app/x"),
        ("shop", "/app/shop", 5, "", "/app/shop"),
    ] {
        let versions = in_path(slug);
        let mut changed: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(versions.asked(&changed, &headers, matched), asked, "{uri}");
        versions.strip(asked, &mut changed, &mut headers, matched);
        assert_eq!(changed.to_string(), expected, "{uri} {matched}");
        assert!(changed.path().len() >= matched);
    }
    for (uri, expected) in [("/a?v=1&b=2&v=3", "/a?b=2"), ("/a?v=1", "/a"), ("/a?vv=1", "/a?vv=1")] {
        let mut changed: Uri = uri.parse().unwrap();
        strip_query(&mut changed, "v");
        assert_eq!(changed.to_string(), expected, "{uri}");
    }
}

#[test]
fn c8_1_row_2_only_what_looks_like_a_version_is_taken_off() {
    let mut versions = in_path("");
    versions.pattern = Some(Regex::new("^v[0-9]+$").unwrap());
    for (uri, asked, expected) in [("/app/v9/x", "v9", "/app/x"), ("/app/users/x", "users", "/app/users/x")] {
        let mut changed: Uri = uri.parse().unwrap();
        versions.strip(asked, &mut changed, &mut HeaderMap::new(), 5);
        assert_eq!(changed.to_string(), expected);
    }
}

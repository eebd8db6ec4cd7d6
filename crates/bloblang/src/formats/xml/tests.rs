use super::parse;

#[test]
fn documents_become_objects() {
    for (xml, cast, expected) in [
        ("<a>x</a>", false, r#"{"a":"x"}"#),
        ("<a/>", false, r#"{"a":""}"#),
        ("<a k='v'/>", false, r#"{"a":{"-k":"v"}}"#),
        ("<a k=v/>", false, r#"{"a":{"-k":"v"}}"#),
        ("<a k='1 &amp; 2'> t </a>", false, r##"{"a":{"#text":"t","-k":"1 & 2"}}"##),
        ("<a><b>1</b><c/><b>2</b></a>", false, r#"{"a":{"b":["1","2"],"c":""}}"#),
        ("<a><b/><b x='1'/></a>", false, r#"{"a":{"b":["",{"-x":"1"}]}}"#),
        ("<a><b>1</b><b>true</b><b>x</b><b>1.5e3</b></a>", true, r#"{"a":{"b":[1,true,"x",1500]}}"#),
        (
            "<a><b>1e999</b><b>inf</b><b>tRue</b><b>-7</b></a>",
            true,
            r#"{"a":{"b":["1e999","inf","tRue",-7]}}"#,
        ),
        ("<a k='0'>-7</a>", true, r##"{"a":{"#text":-7,"-k":0}}"##),
        (
            "\u{feff}<?xml version='1.0'?><!DOCTYPE a><!-- c --><a><!-- c -->x<![CDATA[<&>]]>&lt;&#65;</a>",
            false,
            r#"{"a":"x<&><A"}"#,
        ),
        ("<n:a xmlns:n='u'><n:b>1</n:b></n:a>", false, r#"{"a":{"-n":"u","b":"1"}}"#),
        ("<n:a n:b='&amp;&#65;'>&gt; 1</n:a>", false, r##"{"a":{"#text":"> 1","-b":"&A"}}"##),
    ] {
        assert_eq!(parse(xml.as_bytes(), cast).unwrap().to_json(), expected, "{xml}");
    }
    let deep = "<a>".repeat(1000);
    for (xml, fault) in [
        ("", "no element"),
        ("x", "text outside"),
        ("<a>", "ends within `a`"),
        ("<a></b>", ""),
        ("</a>", ""),
        ("<a/><b/>", "second document"),
        ("x<a/>", "text outside"),
        ("<a>&custom;</a>", "entity `custom`"),
        ("<a b='1' b='2'/>", ""),
        (&deep, "deeper than 100"),
    ] {
        let told = parse(xml.as_bytes(), false).unwrap_err();
        assert!(told.contains(fault), "{xml}: {told}");
    }
    assert!(parse(b"<a>\xff</a>", false).unwrap_err().contains("UTF-8"));
}

#[test]
fn what_is_written_is_read_again() {
    for json in [
        r#"{"a":"x"}"#,
        r##"{"a":{"#text":"<t>","-k":"\"&","b":["1","2",{"c":""}]}}"##,
        r#"{"a":{"b":{"c":{"d":"e"}}}}"#,
    ] {
        let value = crate::Value::parse_json(json.as_bytes()).unwrap();
        let crate::Value::Object(fields) = &value else { panic!("{json}") };
        for indent in [None, Some("  ")] {
            let text = super::format(fields, indent).unwrap();
            assert_eq!(parse(text.as_bytes(), false).unwrap().to_json(), json, "{text}");
        }
    }
    let wide = format!(r#"{{"a":{{"b":[{}1]}}}}"#, "1,".repeat(300));
    let crate::Value::Object(fields) = crate::Value::parse_json(wide.as_bytes()).unwrap() else { panic!() };
    let told = super::format(&fields, Some(&" ".repeat(1 << 20))).unwrap_err();
    assert!(told.contains("larger than"), "{told}");
}

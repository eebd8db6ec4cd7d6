//! What Go's documentation of `text/template` and `fmt`, and that of the functions, says that they do.

use serde_json::{Value as Json, json};

use super::*;

fn rendered(template: &str, data: &Json) -> Result<String, String> {
    Template::parse("t", template)?.render(&from_json(data))
}

#[test]
fn c8_3_row_1_the_language() {
    let data = json!({
        "name": "Ann", "n": 3, "big": 1234567, "part": 0.5, "no": false, "nil": null, "empty": [],
        "list": ["a", "b", "c"], "map": {"y": 2, "x": 1}, "deep": {"er": {"z": "end"}}, "tag": "<a href='x'>",
    });
    for (template, text) in [
        ("{{.name}} {{ .deep.er.z }}", "Ann end"),
        ("{{.n}} {{.part}} {{.big}} {{.no}}", "3 0.5 1.234567e+06 false"),
        ("{{.list}} {{.map}} {{.nil}} {{.missing}}", "[a b c] map[x:1 y:2] <no value> <no value>"),
        ("a {{- .name -}} b", "aAnnb"),
        ("{{/* nothing */}}x", "x"),
        ("{{if .no}}1{{else if .n}}2{{else}}3{{end}}", "2"),
        ("{{if and .n (not .no)}}yes{{end}}{{if or .no .nil}}no{{end}}", "yes"),
        ("{{range .list}}{{.}},{{end}}{{range .empty}}x{{else}}none{{end}}", "a,b,c,none"),
        ("{{range $i, $e := .list}}{{$i}}{{$e}}{{end}}", "0a1b2c"),
        ("{{range $k, $v := .map}}{{$k}}={{$v}};{{end}}", "x=1;y=2;"),
        ("{{range .list}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{with .deep.er}}{{.z}}{{$.name}}{{end}}{{with .nil}}x{{else}}y{{end}}", "endAnny"),
        ("{{$x := .name}}{{$x}}{{$x = \"Bob\"}}{{$x}}", "AnnBob"),
        ("{{define \"t1\"}}<{{.}}>{{end}}{{template \"t1\" .name}}", "<Ann>"),
        ("{{block \"b\" .list}}{{len .}}{{end}}", "3"),
        ("{{index .list 1}}{{index .map \"x\"}}{{len .name}}", "b13"),
        ("{{eq .name \"Ann\"}} {{ne 1 2}} {{lt 1 2}} {{ge 2 2}} {{eq .n 3.0}}", "true true true true true"),
        (
            "{{.tag | html}} {{js \"it's\"}} {{urlquery \"a b&c\"}}",
            "&lt;a href=&#39;x&#39;&gt; it\\'s a+b%26c",
        ),
        ("{{print 1 2 \"a\" \"b\" 3}}|{{println \"x\" 1}}", "1 2ab3|x 1\n"),
        ("{{\"quoted\" | printf \"%q %s\" .name}}", "\"Ann\" quoted"),
        ("  \n", "  \n"),
    ] {
        assert_eq!(rendered(template, &data).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn printf_as_in_go() {
    for (call, text) in [
        (r#"printf "%d|%5d|%-5d|%05d|%+d" 7 7 7 7 7"#, "7|    7|7    |00007|+7"),
        (r#"printf "%s|%5s|%-5s|%.2s|%q" "abc" "abc" "abc" "abc" "a\"b""#, "abc|  abc|abc  |ab|\"a\\\"b\""),
        (
            r#"printf "%.2f|%8.2f|%e|%g|%v" 3.14159 3.14159 1500.0 1e21 1e6"#,
            "3.14|    3.14|1.500000e+03|1e+21|1e+06",
        ),
        (r#"printf "%x|%X|%o|%b|%c|%U|%#x" 255 255 8 5 65 65 255"#, "ff|FF|10|101|A|U+0041|0xff"),
        (r#"printf "%t|%v|%T|%%" true false 1"#, "true|false|int|%"),
        (r#"printf "%d %s""#, "%!d(MISSING) %!s(MISSING)"),
        (r#"printf "%d" "x""#, "%!d(string=x)"),
        (r#"printf "a" 1 "b""#, "a%!(EXTRA int=1, string=b)"),
        (r#"printf "%*d|%v" 4 7 (list 1 "a")"#, "   7|[1 a]"),
        (r#"printf "%.3g|%.10g|%g" 123456.0 123456.0 0.00001"#, "1.23e+05|123456|1e-05"),
    ] {
        assert_eq!(rendered(&format!("{{{{{call}}}}}"), &json!({})).as_deref(), Ok(text), "{call}");
    }
}

#[test]
fn c8_3_row_1_the_functions() {
    let data = json!({"o": {"a": 1, "b": {"c": "d"}}, "l": [3, 1, 2], "s": "Hello World", "h": "<&>"});
    for (call, text) in [
        // Texts.
        (r#"upper "a" | lower | title"#, "A"),
        (r#"trim "  a " | quote"#, "\"a\""),
        (r#"trimAll "$" "$5$""#, "5"),
        (r#"trimSuffix "-" "a-""#, "a"),
        (r#"trimPrefix "-" "-a""#, "a"),
        (r#"substr 0 5 .s"#, "Hello"),
        (r#"trunc 3 .s"#, "Hel"),
        (r#"trunc -5 .s"#, "World"),
        (r#"abbrev 8 .s"#, "Hello..."),
        (r#"contains "lo W" .s"#, "true"),
        (r#"hasPrefix "He" .s"#, "true"),
        (r#"hasSuffix "He" .s"#, "false"),
        (r#"replace " " "-" .s"#, "Hello-World"),
        (r#"repeat 3 "ab""#, "ababab"),
        (r#"nospace "a b c""#, "abc"),
        (r#"initials "First Try""#, "FT"),
        (r#"swapcase "aBc""#, "AbC"),
        (r#"snakecase "FirstName""#, "first_name"),
        (r#"kebabcase "FirstName""#, "first-name"),
        (r#"camelcase "http_server""#, "HttpServer"),
        (r#"untitle "First Second""#, "first second"),
        (r#"wrap 5 "ab cd ef""#, "ab cd\nef"),
        (r#"indent 2 "a\nb""#, "  a\n  b"),
        (r#"nindent 1 "a""#, "\n a"),
        (r#"plural "one" "many" 1"#, "one"),
        (r#"cat "a" 1 nil "b""#, "a 1 b"),
        (r#"squote 1 2"#, "'1' '2'"),
        (r#"join "-" .l"#, "3-1-2"),
        (r#"(split "$" "a$b")._1"#, "b"),
        (r#"splitList "," "a,b" | last"#, "b"),
        (r#"sortAlpha (list "c" "a")"#, "[a c]"),
        // Values.
        (r#"default "x" """#, "x"),
        (r#"default "x" 0"#, "x"),
        (r#"default "x" "y""#, "y"),
        (r#"coalesce 0 1 2"#, "1"),
        (r#"empty .l"#, "false"),
        (r#"ternary "a" "b" true"#, "a"),
        (r#"toJson .h"#, "\"\\u003c\\u0026\\u003e\""),
        (r#"toRawJson .h"#, "\"<&>\""),
        (r#"jsonMarshal .o"#, r#"{"a":1,"b":{"c":"d"}}"#),
        (r#"toPrettyJson (dict "a" 1)"#, "{\n  \"a\": 1\n}"),
        (r#"(fromJson "{\"a\": [1]}").a | first"#, "1"),
        (r#"xmlMarshal .o"#, "<doc><a>1</a><b><c>d</c></b></doc>"),
        (r##"xmlMarshal (dict "r" (dict "-k" "v" "#text" "t"))"##, "<r k=\"v\">t</r>"),
        (r#"typeOf 1.5"#, "float64"),
        (r#"kindOf .o"#, "map"),
        (r#"kindIs "slice" .l"#, "true"),
        (r#"deepEqual .l (list 3.0 1.0 2.0)"#, "true"),
        // Lists.
        (r#"list 1 2 3 | rest"#, "[2 3]"),
        (r#"list 1 2 3 | initial"#, "[1 2]"),
        (r#"append (list 1) 2"#, "[1 2]"),
        (r#"prepend (list 1) 0"#, "[0 1]"),
        (r#"concat (list 1) (list 2)"#, "[1 2]"),
        (r#"reverse (list 1 2)"#, "[2 1]"),
        (r#"uniq (list 1 1 2)"#, "[1 2]"),
        (r#"without (list 1 2 3) 2"#, "[1 3]"),
        (r#"has 2 (list 1 2)"#, "true"),
        (r#"compact (list 0 1 "" "a")"#, "[1 a]"),
        (r#"slice (list 1 2 3) 1 3"#, "[2 3]"),
        (r#"chunk 2 (list 1 2 3)"#, "[[1 2] [3]]"),
        (r#"until 3"#, "[0 1 2]"),
        (r#"untilStep 3 6 2"#, "[3 5]"),
        (r#"seq 0 2 6"#, "0 2 4 6"),
        (r#"seq 3"#, "1 2 3"),
        // Maps.
        (r#"get .o "zz" | quote"#, "\"\""),
        (r#"hasKey .o "a""#, "true"),
        (r#"keys .o | sortAlpha"#, "[a b]"),
        (r#"pick .o "a""#, "map[a:1]"),
        (r#"omit .o "a""#, "map[b:map[c:d]]"),
        (r#"merge (dict "a" 9) .o"#, "map[a:9 b:map[c:d]]"),
        (r#"mergeOverwrite (dict "a" 9) .o"#, "map[a:1 b:map[c:d]]"),
        (r#"dig "b" "c" "none" .o"#, "d"),
        (r#"dig "b" "x" "none" .o"#, "none"),
        (r#"pluck "a" .o (dict "a" 2)"#, "[1 2]"),
        (r#"values (dict "a" 1)"#, "[1]"),
        // Numbers.
        (r#"add 1 2 3"#, "6"),
        (r#"sub 5 2"#, "3"),
        (r#"mul 2 3"#, "6"),
        (r#"div 7 2"#, "3"),
        (r#"mod 7 2"#, "1"),
        (r#"max 1 3 2"#, "3"),
        (r#"addf 1.5 2.2"#, "3.7"),
        (r#"round 123.5555 3"#, "123.556"),
        (r#"floor 1.9"#, "1"),
        (r#"int "12""#, "12"),
        (r#"int64 3.9"#, "3"),
        (r#"atoi "x""#, "0"),
        // Codes.
        (r#"b64enc "a?" | b64dec"#, "a?"),
        (r#"b32enc "foob""#, "MZXW6YQ="),
        (r#"b32dec "MZXW6YQ=""#, "foob"),
        (r#"sha256sum "" | trunc 8"#, "e3b0c442"),
        (r#"sha1sum "a" | trunc 8"#, "86f7e437"),
        (r#"adler32sum "Wikipedia""#, "300286872"),
        // Patterns, paths, versions, dates.
        (r#"regexMatch "^a.c$" "abc""#, "true"),
        (r#"regexFind "[0-9]+" "a12b3""#, "12"),
        (r#"regexFindAll "[0-9]" "a12b3" -1"#, "[1 2 3]"),
        (r#"regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W""#, "-W-xxW-"),
        (r#"regexReplaceAllLiteral "a" "banana" "$1""#, "b$1n$1n$1"),
        (r#"regexSplit "z+" "pizza" -1"#, "[pi a]"),
        (r#"base "/a/b.c""#, "b.c"),
        (r#"dir "/a/b.c""#, "/a"),
        (r#"ext "a.tar.gz""#, ".gz"),
        (r#"clean "/a/../b//c""#, "/b/c"),
        (r#"(urlParse "http://u@h.example:80/p?q=1#f").hostname"#, "h.example"),
        (
            r#"urlJoin (dict "scheme" "http" "host" "h:80" "path" "/p" "query" "q" "fragment" "f")"#,
            "http://h:80/p?q#f",
        ),
        (r#"semverCompare "^1.2.0" "1.4.9""#, "true"),
        (r#"semverCompare ">=1.2.0, <2.0.0" "2.0.0""#, "false"),
        (r#"(semver "1.2.3-beta.1").Prerelease"#, "beta.1"),
        (r#"date "2006-01-02" 86400"#, "1970-01-02"),
        (r#"dateInZone "15:04" 0 "Asia/Tokyo""#, "09:00"),
        (r#"toDate "2006-01-02" "2017-12-31" | date "02/01/2006""#, "31/12/2017"),
        (r#"toDate "2006-01-02" "2017-12-31" | mustDateModify "-24h" | htmlDate"#, "2017-12-30"),
        (r#"toDate "2006-01-02" "1970-01-02" | unixEpoch"#, "86400"),
        (r#"duration "95""#, "1m35s"),
        (r#"durationRound "2h10m5s""#, "2h"),
        (r#"len (randAlphaNum 7)"#, "7"),
    ] {
        assert_eq!(rendered(&format!("{{{{{call}}}}}"), &data).as_deref(), Ok(text), "{call}");
    }
}

#[test]
fn maps_change_where_a_variable_holds_them() {
    for (template, text) in [
        (r#"{{$d := dict "a" 1}}{{$_ := set $d "b" 2}}{{$d}}"#, Ok("map[a:1 b:2]")),
        (r#"{{$d := dict "a" 1}}{{$d = unset $d "a"}}{{$d}}"#, Ok("map[]")),
        (r#"{{$d := dict "a" 1}}{{- $_ := merge $d (dict "c" 3) -}}{{$d}}"#, Ok("map[a:1 c:3]")),
        (r#"{{$d := dict "a" 1}}{{set $d "b" 2}}"#, Err("`set` changes a map in place")),
        (r#"{{$d := dict "a" 1}}{{if set $d "b" 2}}{{end}}"#, Err("`set` changes a map in place")),
    ] {
        let made = rendered(template, &json!({}));
        match text {
            Ok(text) => assert_eq!(made.as_deref(), Ok(text), "{template}"),
            Err(fault) => assert!(made.unwrap_err().contains(fault), "{template}"),
        }
    }
}

#[test]
fn what_cannot_work_is_told_when_it_is_parsed() {
    for (template, fault) in [
        ("{{.a", "unclosed action"),
        ("{{if .a}}", "unexpected EOF"),
        ("{{- range .a}}{{\"}}{{end}}\"}}{{/* {{end}} */}}", "the `range` of line 1 has no `end`"),
        ("{{nope .a}}", "function \"nope\" not defined"),
        ("{{env \"HOME\"}}", "function \"env\" not defined"),
        ("{{expandenv \"$HOME\"}}", "function \"expandenv\" not defined"),
        ("{{template \"gone\"}}", "template \"gone\" not defined"),
        ("{{if .a}}{{else}}{{(gone)}}{{end}}", "function \"gone\" not defined"),
    ] {
        let told = Template::parse("t", template).map(|_| template).unwrap_err();
        assert!(told.contains(fault), "{template}: {told}");
    }
}

#[test]
fn what_goes_wrong_later_is_an_error() {
    for template in [
        "{{upper .n}}",
        "{{upper .missing}}",
        "{{index .l 7}}",
        "{{fail \"so\"}}",
        "{{div 1 0}}",
        "{{eq .n 1}}",
        "{{regexMatch \"(\" \"x\"}}",
    ] {
        let made = rendered(template, &json!({"n": 1, "l": []}));
        assert!(made.is_err(), "{template}: {made:?}");
    }
}

#[test]
fn no_run_costs_without_end() {
    let many: Vec<u32> = (0..2000).collect();
    for template in [
        r#"{{define "r"}}{{template "r"}}{{end}}{{template "r"}}"#,
        r#"{{define "r"}}{{template "r"}}{{template "r"}}{{end}}{{template "r"}}"#,
        "{{range $.l}}{{range $.l}}{{range $.l}}{{end}}{{end}}{{end}}",
        "{{repeat 1000000000 \"aaaa\"}}",
        "{{until 1000000000}}",
        "{{indent 100000000 \"a\"}}",
        "{{range .l}}{{range $.l}}{{repeat 1000000 \"a\"}}{{end}}{{end}}",
        "{{$x := list 1}}{{range .l}}{{$x = list $x}}{{end}}",
        "{{$x := \"aaaaaaaa\"}}{{range .l}}{{$x = printf \"%s%s\" $x $x}}{{end}}",
        "{{$x := \"aaaaaaaa\"}}{{range .l}}{{$x = print $x $x}}{{end}}",
        "{{range .l}}{{range $.l}}{{uniq $.l}}{{end}}{{end}}",
    ] {
        let made = rendered(template, &json!({"l": many})).map(|text| text.len());
        assert!(made.is_err(), "{template}: {made:?}");
    }
    let deep = "{{if 1}}".repeat(100_000);
    assert!(Template::parse("t", &deep).is_err());
    assert!(Template::parse("t", &format!("{{{{{}1}}}}", "(".repeat(100_000))).is_err());
    assert!(Template::parse("t", &"x".repeat(LONGEST + 1)).is_err());
}

#[test]
fn c8_3_row_3_documents_of_xml() {
    for (document, template, text) in [
        ("<a k='1'><b>x</b><b>y</b><c/></a>", "{{.a}}", "map[-k:1 b:[x y] c:]"),
        ("<s:E xmlns:s='u'><s:B>t</s:B></s:E>", "{{.E.B}}", "t"),
        ("<a k='1'>t</a>", "{{index .a \"#text\"}}{{index .a \"-k\"}}", "t1"),
        ("<_/>", "{{index . \"_\"}}", ""),
    ] {
        let data = from_xml(document.as_bytes()).unwrap();
        assert_eq!(Template::parse("t", template).unwrap().render(&data).as_deref(), Ok(text), "{document}");
    }
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
    assert_eq!(from_xml(latin).unwrap().field("a").unwrap().as_str(), Some("\u{e9}"));
    for wrong in [&b"<a>"[..], b"", b"{}", b"<?xml version='1.0' encoding='EBCDIC'?><a/>"] {
        assert!(from_xml(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn anything_can_be_tried() {
    for data in [&b""[..], b"{{.a}}\0{\"a\":1}", b"{{.a}}\0<a/>", b"{{.a", b"\xff\0\xff", b"{{.}}\0\xff"] {
        try_out(data);
    }
}

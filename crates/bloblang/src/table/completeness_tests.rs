//! The standard library is whole: every name that mappings may hold, with the parameters by which arguments may be named.

use std::collections::BTreeMap;

use super::{Presence, Spec, all_functions, all_methods, left_out};

/// Functions, each with its parameters; `?` behind one that may be left out, `*` behind one that takes the rest.
const FUNCTIONS: &str = "
    batch_index
    batch_size
    cache_add resource key value
    cache_delete resource key
    cache_get resource key
    cache_set resource key value
    content
    cosine_similarity a b
    count name
    counter min? max? set?
    deleted
    env name no_cache?
    error
    error_source_label
    error_source_path
    error_source_type
    errored
    fake function?
    file path no_cache?
    file_rel path no_cache?
    file_rel_json path
    flow_id
    hostname
    json path?
    ksuid
    meta key?
    metadata key?
    nanoid length? alphabet?
    nothing
    now
    pi
    random_int seed? min? max?
    range start stop step?
    root_meta key?
    snowflake_id node_id?
    throw why
    timestamp_unix
    timestamp_unix_micro
    timestamp_unix_milli
    timestamp_unix_nano
    tracing_id
    tracing_span
    ulid encoding? random_source?
    uuid_v4
    var name
";

/// Methods, in the same form.
const METHODS: &str = "
    abs
    all test
    any test
    append values*
    apply mapping
    array
    assign with
    bloblang mapping
    bool default?
    bytes
    capitalize
    catch fallback
    ceil
    collapse include_empty?
    compare_argon2 hashed_secret
    compare_bcrypt hashed_secret
    compress algorithm level?
    concat arrays*
    contains value
    cos
    decode scheme
    decompress algorithm
    decrypt_aes scheme key iv
    diff other
    encode scheme
    encrypt_aes scheme key iv
    enumerated
    escape_html
    escape_url_query
    exists path
    explode path
    filepath_join
    filepath_split
    filter test
    find value
    find_all value
    find_all_by query
    find_by query
    flatten
    float32
    float64
    floor
    fold initial query
    format values*
    format_json indent? no_indent? escape_html?
    format_msgpack
    format_timestamp format? tz?
    format_timestamp_strftime format tz?
    format_timestamp_unix
    format_timestamp_unix_micro
    format_timestamp_unix_milli
    format_timestamp_unix_nano
    format_xml indent? no_indent?
    format_yaml
    from index
    from_all
    geoip_anonymous_ip path
    geoip_asn path
    geoip_city path
    geoip_connection_type path
    geoip_country path
    geoip_domain path
    geoip_enterprise path
    geoip_isp path
    get path
    has_prefix value
    has_suffix value
    hash algorithm key? polynomial?
    index index
    index_of value
    int16
    int32
    int64
    int8
    join delimiter?
    json_path expression
    json_schema schema
    key_values
    keys
    length
    log
    log10
    lowercase
    map query
    map_each query
    map_each_key query
    max
    merge with
    min
    not
    not_empty
    not_null
    number default?
    or fallback
    parse_big_decimal scale
    parse_csv parse_header_row? delimiter? lazy_quotes?
    parse_duration
    parse_duration_iso8601
    parse_form_url_encoded
    parse_json use_number?
    parse_jwt_es256 signing_secret
    parse_jwt_es384 signing_secret
    parse_jwt_es512 signing_secret
    parse_jwt_hs256 signing_secret
    parse_jwt_hs384 signing_secret
    parse_jwt_hs512 signing_secret
    parse_jwt_rs256 signing_secret
    parse_jwt_rs384 signing_secret
    parse_jwt_rs512 signing_secret
    parse_msgpack
    parse_timestamp format
    parse_timestamp_strptime format
    parse_url
    parse_xml cast?
    parse_yaml
    patch changelog
    pow exponent
    quote
    re_find_all pattern
    re_find_all_object pattern
    re_find_all_submatch pattern
    re_find_object pattern
    re_match pattern
    re_replace pattern value
    re_replace_all pattern value
    repeat count
    replace old new
    replace_all old new
    replace_all_many values
    replace_many values
    reverse
    round
    set path value
    sign_jwt_es256 signing_secret
    sign_jwt_es384 signing_secret
    sign_jwt_es512 signing_secret
    sign_jwt_hs256 signing_secret
    sign_jwt_hs384 signing_secret
    sign_jwt_hs512 signing_secret
    sign_jwt_rs256 signing_secret
    sign_jwt_rs384 signing_secret
    sign_jwt_rs512 signing_secret
    sin
    slice low high?
    slug lang?
    sort compare?
    sort_by query
    split delimiter
    split_by predicate
    squash
    string
    strip_html preserve?
    sum
    tan
    trim cutset?
    trim_prefix prefix
    trim_suffix suffix
    ts_add_iso8601 duration
    ts_format format? tz?
    ts_parse format
    ts_round duration
    ts_strftime format tz?
    ts_strptime format
    ts_sub t2
    ts_sub_iso8601 duration
    ts_tz tz
    ts_unix
    ts_unix_micro
    ts_unix_milli
    ts_unix_nano
    type
    uint16
    uint32
    uint64
    uint8
    unescape_html
    unescape_url_query
    unique emit?
    unquote
    uppercase
    values
    with paths*
    without paths*
    zip arrays*
";

fn written(spec: &Spec) -> String {
    let parameters = spec.parameters.iter().map(|parameter| {
        let mark = match parameter.presence {
            Presence::Required => "",
            Presence::Many => "*",
            _ => "?",
        };
        format!(" {}{mark}", parameter.name)
    });
    parameters.collect()
}

fn compare(kind: &str, list: &str, specs: impl Iterator<Item = &'static Spec>, wrong: &mut Vec<String>) {
    let mut known = BTreeMap::new();
    for spec in specs {
        for name in spec.aliases.iter().chain([&spec.name]) {
            known.insert(*name, written(spec));
        }
    }
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, parameters) = line.split_at(line.find(' ').unwrap_or(line.len()));
        match known.get(name) {
            None => wrong.push(format!("there is no {kind} `{name}`")),
            Some(own) if own != parameters => {
                wrong.push(format!("{kind} `{name}` has{own}, not{parameters}"))
            }
            Some(_) => {}
        }
    }
}

#[test]
fn every_function_and_method_is_there_with_the_names_of_its_parameters() {
    let mut wrong = Vec::new();
    compare("function", FUNCTIONS, all_functions(), &mut wrong);
    compare("method", METHODS, all_methods(), &mut wrong);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // Nobody loses one silently.
    assert!(left_out("parse_parquet").is_some());
}

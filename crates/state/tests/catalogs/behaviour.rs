//! What holds in every engine.

use std::{sync::Arc, time::Duration};

use state::{Address, CatalogError, Kind};

use crate::bed::{Bed, CERTIFICATE, apis, classic, definition, faults, oas, papers, policy, sees};

fn named(id: &str, name: &str) -> (String, String) {
    (id.to_owned(), name.to_owned())
}

#[tokio::test]
async fn what_one_writes_the_others_see_within_a_second() {
    for bed in Bed::all() {
        let engine = bed.engine;
        let (here, there) = (bed.open(), bed.open());
        let mut changes = there.watch();
        let first = there.load().await;
        assert!(first.complete && apis(&first).is_empty(), "{engine}: {:?}", faults(&first));
        assert_eq!((here.engine(), here.keeps_papers()), (engine, true));

        let second = Duration::from_secs(1);
        here.put_api(&definition(&classic("one", "first")), None).await.unwrap();
        here.put_api(&definition(&oas("two", "second")), None).await.unwrap();
        let took = sees(&there, &mut changes, engine, |loaded| {
            apis(loaded) == [named("one", "first"), named("two", "second")]
        });
        assert!(took.await < second, "{engine}: added");

        here.put_policy(&policy("gold", 5)).await.unwrap();
        let took = sees(&there, &mut changes, engine, |loaded| {
            loaded.policies.get("gold").is_some_and(|policy| policy.id == "gold")
        });
        assert!(took.await < second, "{engine}: policy");

        let before = there.load().await;
        here.put_api(&definition(&classic("one", "changed")), None).await.unwrap();
        let took = sees(&there, &mut changes, engine, |loaded| apis(loaded)[0] == named("one", "changed"));
        assert!(took.await < second, "{engine}: changed");
        let after = there.load().await;
        let of = |loaded: &state::Loaded, id: &str| {
            let mut all = loaded.definitions.iter().filter_map(|(_, parsed)| parsed.clone().ok());
            all.find(|found| *found.api.id == *id).unwrap()
        };
        assert!(Arc::ptr_eq(&of(&before, "two"), &of(&after, "two")), "{engine}: what is the same stays");
        assert_eq!(after.parsed, 0, "{engine}");

        here.put_paper(Kind::Certificate, "orgabc", CERTIFICATE).await.unwrap();
        here.put_paper(Kind::Client, "one/app 1", "{\"id\": \"app 1\"}").await.unwrap();
        assert_eq!(
            here.paper(Kind::Certificate, "orgabc").as_deref(),
            Some(CERTIFICATE),
            "{engine}: at once"
        );
        let took = sees(&there, &mut changes, engine, |_| {
            papers(&there)
                == [(Kind::Certificate, "orgabc".to_owned()), (Kind::Client, "one/app 1".to_owned())]
        });
        assert!(took.await < second, "{engine}: papers");
        assert_eq!(there.paper(Kind::Client, "one/app 1").as_deref(), Some("{\"id\": \"app 1\"}"));
        assert_eq!(there.paper(Kind::Client, "orgabc"), None);

        for there_is in [true, false] {
            assert_eq!(here.delete_api("one").await.unwrap(), there_is, "{engine}");
            assert_eq!(here.delete_policy("gold").await.unwrap(), there_is, "{engine}");
            assert_eq!(here.delete_paper(Kind::Certificate, "orgabc").await.unwrap(), there_is, "{engine}");
        }
        let took = sees(&there, &mut changes, engine, |loaded| {
            apis(loaded) == [named("two", "second")]
                && loaded.policies.is_empty()
                && papers(&there).len() == 1
        });
        assert!(took.await < second, "{engine}: removed");
    }
}

#[tokio::test]
async fn what_is_written_by_hand_is_seen_and_a_bad_row_harms_no_other() {
    for bed in Bed::all() {
        let engine = bed.engine;
        let catalog = bed.open();
        let mut changes = catalog.watch();
        catalog.load().await;
        bed.write("api", "good", &classic("good", "good")).await;
        bed.write("policy", "gold", r#"{"id": "gold", "rate": 7, "per": 1}"#).await;
        sees(&catalog, &mut changes, engine, |loaded| apis(loaded).len() == 1 && loaded.policies.len() == 1)
            .await;

        bed.write("api", "broken", "{\n  \"api_id\": \"x\",,\n}").await;
        bed.write("api", "empty", "").await;
        bed.write("api", "other", &classic("good", "twice").replace("\"proxy\"", "\"proxi\"")).await;
        bed.write("policy", "gold", r#"{"id": "gold", "rate": "much"}"#).await;
        bed.write("policy", "silver", "[]").await;
        let mut told = Vec::new();
        sees(&catalog, &mut changes, engine, |loaded| {
            told = faults(loaded);
            told.len() >= 5
        })
        .await;
        let loaded = catalog.load().await;
        assert!(loaded.complete, "{engine}");
        assert_eq!(apis(&loaded)[0], named("good", "good"), "{engine}: {told:?}");
        assert_eq!(loaded.policies.len(), 1, "{engine}: the policy stays as it was");
        for part in ["api/broken", "api/empty", "api/other", "policy/gold", "policy/silver"] {
            let part = if engine == "files" {
                part.replace("api/", "apps/").replace("policy/", "policies/")
            } else {
                part.to_owned()
            };
            assert!(told.iter().any(|fault| fault.contains(&part)), "{engine}: {part} in {told:?}");
        }
        // Mended, it is there.
        bed.write("api", "broken", &classic("broken", "mended")).await;
        bed.write("policy", "gold", r#"{"id": "gold", "rate": 8, "per": 1}"#).await;
        sees(&catalog, &mut changes, engine, |loaded| {
            apis(loaded).contains(&named("broken", "mended"))
                && faults(loaded).iter().all(|fault| !fault.contains("gold"))
        })
        .await;
    }
}

#[tokio::test]
async fn a_row_says_which_it_is_and_is_of_a_kind() {
    for bed in Bed::databases() {
        let catalog = bed.open();
        catalog.load().await;
        bed.write("api", "one", &classic("two", "x")).await;
        bed.write("api", "three", &oas("four", "x")).await;
        bed.write("apes", "five", "{}").await;
        let told = faults(&catalog.load().await);
        let place = format!("#{}/", bed.options.name);
        for (row, what) in [
            ("api/one", " /api_id the API is called `two` here and `one` in the catalog"),
            ("api/three", " /x-tyk-api-gateway/info/id the API is called `four` here"),
            ("apes/five", "  a row of this kind is not known here"),
        ] {
            let expected = format!("{place}{row}{what}");
            assert!(
                told.iter().any(|fault| fault.contains(&expected)),
                "{}: {expected}: {told:?}",
                bed.engine
            );
        }
        assert_eq!(told.len(), 3);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_harm_their_row_only() {
    let bed = Bed::of("sqlite");
    let catalog = bed.open();
    catalog.load().await;
    bed.write("api", "good", &classic("good", "good")).await;
    bed.execute("INSERT INTO {table} (kind, id, text) VALUES ('api', 'bad', CAST(x'ff7b' AS TEXT))").await;
    let loaded = catalog.load().await;
    assert_eq!(apis(&loaded), [named("good", "good")]);
    assert!(faults(&loaded)[0].ends_with("api/bad  this text is not UTF-8"), "{:?}", faults(&loaded));
}

#[tokio::test]
async fn what_was_made_of_an_older_one_is_not_written() {
    for bed in Bed::all() {
        let engine = bed.engine;
        let (here, there) = (bed.open(), bed.open());
        let old = definition(&classic("one", "old"));
        here.put_api(&old, None).await.unwrap();
        here.load().await;
        there.load().await;
        here.put_api(&definition(&classic("one", "here")), Some(&old)).await.unwrap();
        for told in [false, true] {
            if told {
                there.load().await;
            }
            let stale = there.put_api(&definition(&classic("one", "there")), Some(&old)).await;
            let changed = matches!(&stale, Err(CatalogError::Changed(id)) if id == "one");
            assert!(changed, "{engine}: {stale:?}");
        }
        let now = definition(&classic("one", "here"));
        there.put_api(&definition(&classic("one", "there")), Some(&now)).await.unwrap();
        assert_eq!(apis(&here.load().await), [named("one", "there")], "{engine}");
        // What is gone is not made again of what it was.
        there.load().await;
        here.delete_api("one").await.unwrap();
        let gone = there.put_api(&now, Some(&definition(&classic("one", "there")))).await;
        assert!(matches!(gone, Err(CatalogError::Changed(_))), "{engine}: {gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_begin_and_write_at_once() {
    for bed in Bed::all() {
        let engine = bed.engine;
        let catalogs: Vec<_> = (0..6).map(|_| bed.open()).collect();
        let writers = catalogs.iter().enumerate().map(|(node, catalog)| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                for number in 0..5 {
                    let id = format!("api-{node}-{number}");
                    catalog.put_api(&definition(&classic(&id, "x")), None).await.unwrap();
                    catalog.put_policy(&policy(&format!("policy-{node}-{number}"), 1)).await.unwrap();
                    assert!(catalog.load().await.complete);
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        for catalog in &catalogs {
            let loaded = catalog.load().await;
            assert_eq!(
                (apis(&loaded).len(), loaded.policies.len()),
                (30, 30),
                "{engine}: {:?}",
                faults(&loaded)
            );
        }
    }
}

#[tokio::test]
async fn c2_1_row_13_only_the_apis_with_a_tag_of_this_node() {
    for bed in Bed::all() {
        let with = |id: &str, tags: &str, off: bool| {
            classic(id, id).replacen('{', &format!("{{\"tags\":{tags},\"tags_disabled\":{off},"), 1)
        };
        let all = bed.open();
        for text in [
            with("none", "[]", false),
            with("east", "[\"east\"]", false),
            with("both", "[\"west\",\"east\"]", false),
            with("west", "[\"west\"]", false),
            with("off", "[\"east\"]", true),
        ] {
            all.put_api(&definition(&text), None).await.unwrap();
        }
        assert_eq!(apis(&all.load().await).len(), 5);
        for (tags, expected) in [
            (vec!["east"], vec!["both", "east"]),
            (vec!["east", "west"], vec!["both", "east", "west"]),
            (vec!["north"], vec![]),
            (vec![], vec!["both", "east", "none", "off", "west"]),
        ] {
            let tags: Vec<String> = tags.into_iter().map(str::to_owned).collect();
            let loaded = bed.open().with_tags(&tags).load().await;
            let ids: Vec<String> = apis(&loaded).into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids, expected, "{}: {tags:?}", bed.engine);
        }
    }
}

#[tokio::test]
async fn ids_that_cannot_be_files_are_refused_everywhere() {
    for bed in Bed::all() {
        let catalog = bed.open();
        let failed = catalog.put_api(&definition(&classic("x-oas", "x")), None).await;
        assert!(matches!(failed, Err(CatalogError::Id(_))), "{}: {failed:?}", bed.engine);
        let failed = catalog.put_policy(&policy("a/b", 1)).await;
        assert!(matches!(failed, Err(CatalogError::Id(_))), "{}: {failed:?}", bed.engine);
    }
}

#[tokio::test]
async fn tables_of_another_version_are_left_alone() {
    for bed in Bed::databases() {
        bed.open().load().await;
        bed.execute("UPDATE {table}_head SET layout = 2").await;
        let catalog = bed.open();
        let loaded = catalog.load().await;
        assert!(!loaded.complete);
        assert!(faults(&loaded)[0].contains("layout 2, written by another version"), "{:?}", faults(&loaded));
        let failed = catalog.put_policy(&policy("x", 1)).await.unwrap_err().to_string();
        assert!(failed.contains("layout 2"), "{failed}");
    }
}

#[tokio::test]
async fn tables_that_are_not_there_are_not_made_where_that_is_not_wanted() {
    for bed in Bed::databases() {
        let options = state::CatalogOptions { create: false, ..bed.options.clone() };
        let catalog = state::Catalog::open(&bed.address, &options).unwrap();
        let loaded = catalog.load().await;
        assert!(!loaded.complete && catalog.items().await.is_err(), "{}", bed.engine);
        if let Address::Sqlite(path) = &bed.address {
            assert!(!path.exists());
        }
    }
}

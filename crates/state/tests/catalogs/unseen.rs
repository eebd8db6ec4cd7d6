//! Changes that a node could miss: because nobody told of them, because the database was put back, or because they were
//! made by this very node while it read.

use std::time::Duration;

use state::{CatalogError, CatalogOptions, Kind};

use crate::bed::{Bed, CERTIFICATE, apis, classic, definition, papers, sees};

fn named(id: &str, name: &str) -> (String, String) {
    (id.to_owned(), name.to_owned())
}

#[tokio::test]
async fn what_nobody_told_of_is_found_by_comparing() {
    for mut bed in Bed::databases() {
        let engine = bed.engine;
        bed.options = CatalogOptions { compare: Duration::from_millis(100), ..bed.options.clone() };
        let catalog = bed.open();
        let mut changes = catalog.watch();
        catalog.put_api(&definition(&classic("one", "first")), None).await.unwrap();
        sees(&catalog, &mut changes, engine, |loaded| apis(loaded).len() == 1).await;
        bed.write_silently("two", &classic("two", "silent")).await;
        let right = [named("one", "first"), named("two", "silent")];
        sees(&catalog, &mut changes, engine, |loaded| apis(loaded) == right).await;
        // And no more is told than there is to tell.
        while changes.try_recv().is_ok() {}
        let more = tokio::time::timeout(Duration::from_millis(700), changes.recv()).await;
        assert!(more.is_err(), "{engine}: told of a change that was none");
    }
}

#[tokio::test]
async fn a_database_that_was_put_back_does_not_hide_what_is_changed_then() {
    for bed in Bed::databases() {
        let engine = bed.engine;
        let (here, there) = (bed.open(), bed.open());
        for name in ["first", "second", "third"] {
            here.put_api(&definition(&classic("one", name)), None).await.unwrap();
        }
        assert_eq!(apis(&there.load().await), [named("one", "third")], "{engine}");
        bed.put_back().await;
        for name in ["fourth", "fifth", "sixth"] {
            here.put_api(&definition(&classic("one", name)), None).await.unwrap();
            assert_eq!(apis(&there.load().await), [named("one", name)], "{engine}");
        }
    }
}

#[tokio::test]
async fn what_this_node_deleted_stays_deleted_when_the_database_is_gone() {
    for mut bed in Bed::databases() {
        let engine = bed.engine;
        let catalog = bed.open();
        catalog.put_paper(Kind::Certificate, "gone", CERTIFICATE).await.unwrap();
        catalog.put_paper(Kind::Certificate, "kept", CERTIFICATE).await.unwrap();
        assert!(catalog.load().await.complete);
        bed.options.create = false;
        let catalog = bed.open();
        assert!(catalog.load().await.complete);
        assert!(catalog.delete_paper(Kind::Certificate, "gone").await.unwrap());
        bed.drop_tables().await;
        let loaded = catalog.load().await;
        assert!(!loaded.complete && !loaded.papers_changed, "{engine}");
        assert_eq!(papers(&catalog), [(Kind::Certificate, "kept".to_owned())], "{engine}");
        assert!(matches!(
            catalog.delete_api("x").await,
            Err(CatalogError::Away { .. } | CatalogError::Missing { .. })
        ));
    }
}

#[cfg(feature = "mongodb")]
mod unclear {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use state::Address;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// Between a node and the database. From the first request that holds a word on, for as long as it is muted, no
    /// answer comes back.
    struct Between {
        address: std::net::SocketAddr,
        is_mute: Arc<AtomicBool>,
    }

    impl Between {
        async fn start(database: String, word: &'static str) -> Between {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let is_mute = Arc::new(AtomicBool::new(false));
            let muted = Arc::clone(&is_mute);
            tokio::spawn(async move {
                let was_muted = Arc::new(AtomicBool::new(false));
                while let Ok((client, _)) = listener.accept().await {
                    let server = TcpStream::connect(&database).await.unwrap();
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let (asked, answered) = (Arc::clone(&muted), Arc::clone(&muted));
                    let was_muted = Arc::clone(&was_muted);
                    tokio::spawn(async move {
                        let mut bytes = vec![0; 1 << 16];
                        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                            let holds =
                                bytes[..count].windows(word.len()).any(|part| part == word.as_bytes());
                            if holds && !was_muted.swap(true, Ordering::AcqRel) {
                                asked.store(true, Ordering::Release);
                            }
                            if to_server.write_all(&bytes[..count]).await.is_err() {
                                return;
                            }
                        }
                    });
                    tokio::spawn(async move {
                        let mut bytes = vec![0; 1 << 16];
                        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                            if answered.load(Ordering::Acquire) {
                                // What is not answered now never is.
                                std::future::pending::<()>().await;
                            }
                            if to_client.write_all(&bytes[..count]).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            });
            Between { address, is_mute }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_change_whose_outcome_is_unclear_is_called_out_all_the_same() {
        for (delete, word) in [(false, "canary"), (true, "deletes")] {
            let mut bed = Bed::of("mongodb");
            // Nothing is found by comparing in this test.
            bed.options.compare = Duration::from_secs(3600);
            let there = bed.open();
            there.put_api(&definition(&classic("one", "first")), None).await.unwrap();
            assert_eq!(apis(&there.load().await).len(), 1);

            let between = Between::start(bed.mongo_address(), word).await;
            let url = format!("mongodb://{}/catalogs?directConnection=true", between.address);
            let options = CatalogOptions { timeout: Duration::from_millis(500), ..bed.options.clone() };
            let here = state::Catalog::open(&Address::parse(&url).unwrap(), &options).unwrap();
            let failed = match delete {
                true => here.delete_api("one").await.map(drop),
                false => here.put_api(&definition(&classic("one", "canary")), None).await.map(drop),
            };
            assert!(matches!(failed, Err(CatalogError::Away { .. })), "{word}: {failed:?}");
            // Whoever looked before the change knows this number.
            let head = bed.head().await;
            between.is_mute.store(false, Ordering::Release);
            let moves = async {
                while bed.head().await == head {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), moves).await.expect("the change is called out");
            let loaded = there.load().await;
            match delete {
                true => assert!(apis(&loaded).is_empty()),
                false => assert_eq!(apis(&loaded), [named("one", "canary")]),
            }
        }
    }
}

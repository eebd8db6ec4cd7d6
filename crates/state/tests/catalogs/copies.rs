//! A catalog as a list of items, and back.

use state::{Item, Kind};

use crate::bed::{Bed, CERTIFICATE, classic, oas};

fn items() -> Vec<Item> {
    let item = |kind, id: &str, text: &str| Item { kind, id: id.into(), text: text.to_owned() };
    vec![
        // Spaces, order, numbers: all as they were.
        item(
            Kind::Api,
            "one",
            &classic("one", "x").replacen('{', "{\n  \"config_data\": {\"n\": 1.50},\n", 1),
        ),
        item(
            Kind::Api,
            "two",
            &format!("{:#}\n", serde_json::from_str::<serde_json::Value>(&oas("two", "y")).unwrap()),
        ),
        item(Kind::Policy, "gold", "{\n  \"rate\": 5,\n  \"id\": \"gold\"\n}\n"),
        item(Kind::Certificate, "orgabc", CERTIFICATE),
        item(Kind::Client, "one/app", "{\n  \"id\": \"app\"\n}"),
    ]
}

#[tokio::test]
async fn items_come_back_as_they_were_through_every_engine() {
    let beds = Bed::all();
    let first = &beds[0];
    first.open().write_items(items(), Vec::new()).await.unwrap();
    let back = Bed::of("files");
    for (from, to) in beds.iter().zip(beds.iter().skip(1).chain([&back])) {
        let read = from.open().items().await.unwrap();
        to.open().write_items(read, Vec::new()).await.unwrap();
    }
    for bed in beds.iter().chain([&back]) {
        let read = bed.open().items().await.unwrap();
        for (read, written) in read.iter().zip(&items()) {
            assert_eq!(read.text, written.text, "{}: {}", bed.engine, written.place());
        }
        assert_eq!(read, items(), "{}", bed.engine);
    }
}

#[tokio::test]
async fn a_folder_need_not_have_every_kind() {
    let bed = Bed::of("files");
    let state::Address::Folder(root) = &bed.address else { panic!("a folder") };
    std::fs::create_dir_all(root.join("apps")).unwrap();
    std::fs::write(root.join("apps/one.json"), classic("one", "x")).unwrap();
    let options = state::CatalogOptions { create: false, ..bed.options.clone() };
    let catalog = state::Catalog::open(&bed.address, &options).unwrap();
    let places: Vec<_> = catalog.items().await.unwrap().iter().map(Item::place).collect();
    assert_eq!(places, ["api/one"]);
}

#[cfg(unix)]
#[tokio::test]
async fn secrets_are_for_nobody_else_to_read() {
    use std::os::unix::fs::PermissionsExt;
    for engine in ["files", "sqlite"] {
        let bed = Bed::of(engine);
        bed.open().write_items(items(), Vec::new()).await.unwrap();
        let files = match &bed.address {
            state::Address::Folder(root) => {
                vec![root.join("certificates/orgabc.pem"), root.join("clients/one%2fapp.json")]
            }
            state::Address::Sqlite(path) => vec![path.clone()],
            _ => unreachable!(),
        };
        for file in files {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", file.display());
        }
    }
}

#[tokio::test]
async fn items_are_removed_in_the_same_step() {
    for bed in Bed::all() {
        let catalog = bed.open();
        catalog.write_items(items(), Vec::new()).await.unwrap();
        catalog.load().await;
        let all =
            Kind::ALL.map(|kind| (kind, items().iter().find(|item| item.kind == kind).unwrap().id.clone()));
        catalog.write_items(items()[1..2].to_vec(), all.to_vec()).await.unwrap();
        let left: Vec<_> = catalog.items().await.unwrap().iter().map(Item::place).collect();
        assert_eq!(left, ["api/two"], "{}", bed.engine);
    }
}

#[tokio::test]
async fn what_is_at_fault_is_not_an_item() {
    for bed in Bed::all() {
        let catalog = bed.open();
        catalog.load().await;
        bed.write("api", "bad", "{}").await;
        let failed = catalog.items().await.unwrap_err().to_string();
        assert!(failed.contains("bad"), "{}: {failed}", bed.engine);
    }
}

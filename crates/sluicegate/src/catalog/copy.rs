//! `sluicegate catalog copy` and `list`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use apidef::Definition;
use serde_json::Value;
use state::{Address, Catalog, CatalogError, CatalogOptions, Item, Kind};

use super::cli::{CatalogCommand, Places};
use crate::config::{self, Variables};

/// How many ids are named where there may be many.
const NAMED: usize = 20;

type Items = BTreeMap<(Kind, Box<str>), Item>;

/// Does what was asked; gives what is to be printed.
///
/// # Errors
/// Why it was not done, in words without secrets.
pub(super) async fn run(command: &CatalogCommand, variables: &Variables) -> Result<String, String> {
    match command {
        CatalogCommand::Copy { from, to, replace, prune, dry_run, places } => {
            let there = places.to_name.as_deref().unwrap_or(&places.name);
            let source = open("FROM", from, &places.name, false, places, variables)?;
            let target = open("TO", to, there, !dry_run, places, variables)?;
            copy(&source, &target, &How { replace: *replace, prune: *prune, dry_run: *dry_run }).await
        }
        CatalogCommand::List { place, places } => {
            list(&open("PLACE", place, &places.name, false, places, variables)?).await
        }
    }
}

/// How a copy is made.
struct How {
    replace: bool,
    prune: bool,
    dry_run: bool,
}

fn open(
    argument: &str,
    place: &str,
    name: &str,
    create: bool,
    places: &Places,
    variables: &Variables,
) -> Result<Catalog, String> {
    if place == "gate" {
        let folder = std::env::current_dir().unwrap_or_default();
        let loaded = config::load(places.conf.as_deref(), &folder, variables);
        return super::open(&loaded.map_err(|broken| broken.to_string())?.config);
    }
    let place = match place.strip_prefix("env://") {
        Some(variable) => variables
            .get(variable)
            .ok_or_else(|| format!("{argument}: the variable {variable} is not set"))?,
        None => place,
    };
    let fault = |error: state::AddressError| format!("{argument}: {error}");
    let address = Address::parse(place).map_err(fault)?;
    let options = CatalogOptions { name: name.to_owned(), create, ..CatalogOptions::default() };
    Catalog::open(&address, &options).map_err(fault)
}

async fn items(catalog: &Catalog) -> Result<Items, CatalogError> {
    let items = catalog.items().await?;
    Ok(items.into_iter().map(|item| ((item.kind, item.id.clone()), item)).collect())
}

async fn copy(from: &Catalog, to: &Catalog, how: &How) -> Result<String, String> {
    let wanted = items(from).await.map_err(|error| format!("nothing was copied: FROM: {error}"))?;
    let there = match items(to).await {
        Ok(there) => there,
        Err(CatalogError::Missing { .. }) if how.dry_run => Items::new(),
        Err(error) => return Err(format!("nothing was copied: TO: {error}")),
    };
    let mut counts = BTreeMap::<Kind, Counts>::new();
    let (mut put, mut different) = (Vec::new(), Vec::new());
    for (key, item) in &wanted {
        let counts = counts.entry(item.kind).or_default();
        match there.get(key) {
            Some(other) if same(item, other) => counts.same += 1,
            Some(_) => {
                counts.replaced += 1;
                different.push(item.place());
                put.push(item.clone());
            }
            None => {
                counts.new += 1;
                put.push(item.clone());
            }
        }
    }
    if !different.is_empty() && !how.replace {
        return Err(format!(
            "nothing was copied: {} different in {}; add --replace to overwrite: {}",
            if different.len() == 1 { "one is".to_owned() } else { format!("{} are", different.len()) },
            to.place(),
            some(&different),
        ));
    }
    let others: Vec<(Kind, Box<str>)> =
        there.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
    for (kind, _) in &others {
        let counts = counts.entry(*kind).or_default();
        if how.prune { counts.removed += 1 } else { counts.others += 1 }
    }
    let remove = if how.prune { others } else { Vec::new() };
    let said = report(&counts, from, to, how.dry_run);
    if how.dry_run || (put.is_empty() && remove.is_empty()) {
        return Ok(said);
    }
    to.write_items(put, remove.clone()).await.map_err(|error| format!("the copy failed: TO: {error}"))?;
    verify(&wanted, &remove, to).await?;
    Ok(said)
}

/// Reads it again: what was acknowledged must be there.
async fn verify(wanted: &Items, removed: &[(Kind, Box<str>)], to: &Catalog) -> Result<(), String> {
    let there = items(to).await.map_err(|error| format!("the copy cannot be read again: TO: {error}"))?;
    let differs =
        |(key, item): &(&(Kind, Box<str>), &Item)| !there.get(*key).is_some_and(|other| same(item, other));
    let wrong = wanted.iter().filter(differs).map(|(_, item)| item.place());
    let left = removed.iter().filter(|key| there.contains_key(*key)).map(|(kind, id)| format!("{kind}/{id}"));
    let wrong: Vec<String> = wrong.chain(left).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "after the copy these are not as they should be; somebody else may be writing: {}",
        some(&wrong)
    ))
}

fn same(one: &Item, other: &Item) -> bool {
    let json = |item: &Item| match item.kind {
        Kind::Api | Kind::Policy => serde_json::from_str::<Value>(&item.text).ok(),
        Kind::Certificate | Kind::Client => None,
    };
    one.text == other.text || json(one).is_some_and(|value| json(other) == Some(value))
}

#[derive(Default)]
struct Counts {
    new: usize,
    replaced: usize,
    same: usize,
    removed: usize,
    others: usize,
}

fn report(counts: &BTreeMap<Kind, Counts>, from: &Catalog, to: &Catalog, dry_run: bool) -> String {
    let would = if dry_run { "would copy" } else { "copied" };
    let mut said = format!("{would} {} to {}\n", from.place(), to.place());
    if !from.keeps_papers() {
        said.push_str("certificates and clients are not in files: they are in the state of that gate\n");
    }
    for kind in Kind::ALL {
        let none = Counts::default();
        let counts = counts.get(&kind).unwrap_or(&none);
        let _ = write!(said, "{}: {} new", kind.plural(), counts.new);
        for (count, what) in [
            (counts.replaced, "replaced"),
            (counts.same, "the same already"),
            (counts.removed, "removed"),
            (counts.others, "left alone that only TO has"),
        ] {
            if count > 0 {
                let _ = write!(said, ", {count} {what}");
            }
        }
        said.push('\n');
    }
    said
}

fn some(places: &[String]) -> String {
    let named = places.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match places.len().checked_sub(NAMED) {
        Some(more) if more > 0 => format!("{named} and {more} more"),
        _ => named,
    }
}

async fn list(catalog: &Catalog) -> Result<String, String> {
    let mut said = String::new();
    for item in catalog.items().await.map_err(|error| error.to_string())? {
        let _ = write!(said, "{:<12} {}", item.kind.word(), item.id);
        if item.kind == Kind::Api
            && let Ok(definition) = Definition::parse(&item.text)
        {
            let _ = write!(said, "  {}  {}", definition.api.name, definition.api.listen_path);
        }
        said.push('\n');
    }
    Ok(said)
}

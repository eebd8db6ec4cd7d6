//! Files that a configuration names: read whole, once, when the component is built, where streams may read files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use streams::BuildContext;

/// Schemas and scripts larger than this are refused.
pub(crate) const LARGEST: usize = 16 * 1024 * 1024;

/// The text of a file. Faults never quote what stands in it.
pub(crate) fn read(path: &str, context: &BuildContext<'_>) -> Result<String, String> {
    let file = context.settings.environment.read_file(path);
    let file = file.map_err(|why| format!("`{path}` cannot be read: {why}"))?;
    if file.content.len() > LARGEST {
        return Err(format!("`{path}` is larger than {LARGEST} bytes"));
    }
    String::from_utf8(file.content.into()).map_err(|_| format!("`{path}` is not UTF-8 text"))
}

/// The texts of a file, or of all files below a folder whose names end so, by their paths from there.
pub(crate) fn gather(
    path: &str,
    ending: &str,
    context: &BuildContext<'_>,
    most: (usize, usize),
    files: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let mut add = |name: String, path: &str| {
        if let Entry::Vacant(place) = files.entry(name) {
            place.insert(read(path, context)?);
        }
        let (count, bytes) = most;
        if files.len() > count || files.values().map(String::len).sum::<usize>() > bytes {
            return Err(format!("there are more than {count} `{ending}` files, or {bytes} bytes of them"));
        }
        Ok(())
    };
    if path.ends_with(ending) {
        return add(path.to_owned(), path);
    }
    let folder = if path.is_empty() { "." } else { path.trim_end_matches('/') };
    let names = context.settings.environment.list_files(folder);
    for name in names.map_err(|why| format!("`{folder}` cannot be read: {why}"))? {
        if name.ends_with(ending) {
            let path = format!("{folder}/{name}");
            add(name, &path)?;
        }
    }
    Ok(())
}

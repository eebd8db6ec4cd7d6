//! Zip archives in memory.

use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::tar::Member;

/// Archives with more files are refused.
const MOST: usize = 100_000;

/// The files of an archive, together no larger than `limit`.
pub(super) fn read(archive: &[u8], limit: usize) -> Result<Vec<Member>, String> {
    let told = |error: zip::result::ZipError| error.to_string();
    let mut archive = ZipArchive::new(Cursor::new(archive)).map_err(told)?;
    if archive.len() > MOST {
        return Err(format!("the archive holds more than {MOST} files"));
    }
    let (mut members, mut left) = (Vec::with_capacity(archive.len()), limit);
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(told)?;
        if file.is_dir() {
            continue;
        }
        let name = file.name().map_err(told)?.into_owned();
        let mut data = Vec::new();
        // The size in the header is a claim, what comes out is counted.
        file.take(left as u64 + 1).read_to_end(&mut data).map_err(|error| error.to_string())?;
        left =
            left.checked_sub(data.len()).ok_or_else(|| format!("the files are larger than {limit} bytes"))?;
        members.push(Member { name, data: Bytes::from(data) });
    }
    Ok(members)
}

/// An archive of these files, with this time.
pub(super) fn write<'m>(
    members: impl Iterator<Item = (String, &'m [u8])>,
    now: &jiff::Zoned,
) -> Result<Vec<u8>, String> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o666)
        .last_modified_time(time(now));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in members {
        writer.start_file(name, options).map_err(|error| error.to_string())?;
        writer.write_all(data).map_err(|error| error.to_string())?;
    }
    Ok(writer.finish().map_err(|error| error.to_string())?.into_inner())
}

fn time(now: &jiff::Zoned) -> zip::DateTime {
    let small = |number: i8| u8::try_from(number).unwrap_or(0);
    zip::DateTime::from_date_and_time(
        u16::try_from(now.year()).unwrap_or(1980),
        small(now.month()),
        small(now.day()),
        small(now.hour()),
        small(now.minute()),
        small(now.second()),
    )
    .unwrap_or_default()
}

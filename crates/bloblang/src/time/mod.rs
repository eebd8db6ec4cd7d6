//! Points in time as the language reads and writes them.

use jiff::Zoned;

/// RFC 3339 with as many fraction digits as are needed, `Z` for UTC.
pub(crate) fn rfc3339(time: &Zoned) -> String {
    let offset = time.offset();
    if offset.is_zero() {
        return time.timestamp().to_string();
    }
    time.timestamp().display_with_offset(offset).to_string()
}

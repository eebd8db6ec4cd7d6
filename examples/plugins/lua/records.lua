-- On records, before they are stored: paths with numbers are counted as one. Requests do not wait for this.
function records(record, spec)
    record.path = record.path:gsub("/%d+", "/{id}")
    record.raw_path = record.path
    table.insert(record.tags, "numbered")
    return record
end

// On records, before they are stored: who called is told only as far as figures need it. Requests do not wait for this.
function records(record, spec) {
    record.path = record.path.replace(/\/\d+/g, "/{id}");
    record.raw_path = record.path;
    record.ip_address = record.ip_address.replace(/\.\d+$/, ".0");
    delete record.user_agent;
    record.tags.push("region-" + ((spec.config_data || {}).region || "none"));
    return record;
}

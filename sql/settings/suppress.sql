insert into dbre.suppressions as s (fingerprint, rule, object_pattern, reason, until)
values ($1, $2, $3, $4, $5)
on conflict (fingerprint, rule, object_pattern) do update set
    reason = excluded.reason,
    until = excluded.until,
    created_at = excluded.created_at,
    created_by = excluded.created_by

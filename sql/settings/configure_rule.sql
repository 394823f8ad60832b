-- $1 rule, $2 enabled, $3 severity, $4 all options: what is NULL stays as it is.
insert into dbre.rule_settings as s (rule, enabled, severity, options)
values ($1, $2, $3::dbre.severity, $4)
on conflict (rule) do update set
    enabled = coalesce(excluded.enabled, s.enabled),
    severity = coalesce(excluded.severity, s.severity),
    options = excluded.options

create type dbre.advice as (
    step int,
    fingerprint text,
    rule text,
    severity dbre.severity,
    category text,
    object text,
    summary text,
    cause text,
    evidence jsonb,
    impact jsonb,
    fix_sql text,
    app_fix text,
    risk text,
    rollback_sql text,
    verify_sql text
);
comment on type dbre.advice is 'A finding as of dbre.check(), with the place of its fix in the order of all';

-- Which of the findings ($1 fingerprints, $2 rules, $3 objects, in one order) are suppressed: their positions from 1.
select f.position
from rows from (
    pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])
) with ordinality as f (fingerprint, rule, object, position)
where exists (
    select from dbre.suppressions s
    where (s.until is null or s.until > pg_catalog.now())
        and (s.fingerprint = f.fingerprint or (s.rule = f.rule and f.object like s.object_pattern))
)

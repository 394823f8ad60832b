-- The rules and their options.
select rule, category, severity, since, enabled, array_length(sources, 1) > 0 as sources from dbre.rules order by rule;
select rule, o.key as option, o.value ->> 'default' as "default", o.value ->> 'unit' as unit,
    o.value ->> 'min' as min, o.value ->> 'max' as max
from dbre.rules cross join jsonb_each(options) o order by rule, o.key;
select rule, needs from dbre.rules order by rule;

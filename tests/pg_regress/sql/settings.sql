-- Configuring a rule and suppressing findings.
create schema settings;
set search_path = settings;
create table parent (id int primary key);
create table child (id int primary key, parent_id int references parent);
create table cousin (id int primary key, parent_id int references parent);

create view settings.found as
select severity, object from dbre.check(rules => array['foreign_key_without_index'], schemas => array['settings']);
create view settings.state as
select enabled, current_severity, options -> 'small_bytes' -> 'current' as small_bytes
from dbre.rules where rule = 'foreign_key_without_index';

table state;
table found;
select dbre.configure_rule('foreign_key_without_index', options => '{"small_bytes": 0}');
table state;
table found;
select dbre.configure_rule('foreign_key_without_index', enabled => false, severity => 'high');
table state;
table found;
select rule, enabled, severity, options from dbre.rule_settings;
select rule, status, reason from dbre.rule_runs(schemas => array['settings']) where rule = 'foreign_key_without_index';
select dbre.configure_rule('foreign_key_without_index', options => '{"small_bytes": null}');
table state;
select dbre.reset_rule('foreign_key_without_index');
table state;
table dbre.rule_settings;

select dbre.suppress(rule => 'foreign_key_without_index', object_pattern => 'settings.cou%', reason => 'goes next month');
select dbre.suppress((select fingerprint from dbre.missing_fk_indexes(array['settings']) where child = 'settings.child'),
    reason => 'parents are never deleted');
table found;
select rule, object_pattern, fingerprint is not null as by_fingerprint, reason, until from dbre.suppressions order by reason;
select status, findings, suppressed, not_readable
from dbre.rule_runs(rules => array['foreign_key_without_index'], schemas => array['settings']);
select dbre.unsuppress(rule => 'foreign_key_without_index', object_pattern => 'settings.cou%');
select dbre.unsuppress(rule => 'foreign_key_without_index', object_pattern => 'settings.cou%');
table found;

set client_min_messages = warning;
drop schema settings cascade;
delete from dbre.suppressions;

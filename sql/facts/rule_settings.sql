-- How rules are configured in this database.
select s.rule, s.enabled, s.severity::text, s.options
from dbre.rule_settings s

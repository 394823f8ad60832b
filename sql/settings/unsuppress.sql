delete from dbre.suppressions
where fingerprint is not distinct from $1 and rule is not distinct from $2 and object_pattern is not distinct from $3

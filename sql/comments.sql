comment on type dbre.severity is 'How urgent a finding is; critical comes first';
comment on function dbre.check(text[], text[], text[], dbre.severity) is
    'Findings about this database, ordered by severity, then impact';
comment on function dbre.rule_runs(text[], text[], text[]) is
    'Runs the rules and tells what became of each: ran, skipped and why, or failed and how; ms is the check alone, for the facts are read once for all rules';
comment on function dbre.rules() is 'What the view dbre.rules shows';
comment on function dbre.configure_rule(text, boolean, dbre.severity, jsonb) is
    'Switches a rule on or off, sets the severity of its findings, sets options; what is NULL stays as it is';
comment on function dbre.reset_rule(text) is 'Takes a rule back to its defaults';
comment on function dbre.suppress(text, text, text, text, timestamptz) is
    'Leaves findings out, by fingerprint or by rule and LIKE pattern on the object, for a reason, until a time';
comment on function dbre.unsuppress(text, text, text) is 'Takes back what dbre.suppress() did; returns how many suppressions went';
comment on function dbre.report(text, text[], text[], text[], dbre.severity) is
    'The findings as a report: markdown, brief (at most ten lines) or json';
comment on function dbre.missing_fk_indexes(text[]) is
    'Foreign keys whose columns no index covers, one row each, with sizes in bytes, the finding and the DDL (fix_sql)';
comment on function dbre.what_if(text, text[], regclass[], text[], int, text) is
    'How the planner would plan a query if indexes existed and others did not: cost and plan before and after; nothing is built or executed';
comment on function dbre.index_advice(text, text, text, text[], text, int, int, float8, boolean, text, text[], interval, text) is
    'Which indexes a query or a workload would profit from under a size budget, and which a workload does not need, by what-if planning; findings in the order in which their fixes are to be run';
comment on function dbre.suggest_index(regclass, text[]) is
    'Which index serves equality conditions on these columns of a table; findings as of dbre.index_advice()';
comment on function dbre.query_findings(text, text) is
    'What is wrong with a query, from its text and the catalogs: nothing is planned or executed; findings as of dbre.check(), with safe rewrites';
comment on function dbre.snapshot_index_advice(text, text, text, text[], text, int, int, float8, boolean, text, text[], interval, text) is
    'Asks dbre.index_advice() and keeps the answer in dbre.index_advice_snapshots; returns the time that identifies it';
comment on view dbre.last_index_advice is 'The findings of the last dbre.snapshot_index_advice()';
comment on function dbre.validate_index(regclass, text[], text) is
    'For which queries the planner takes an index, their cost with and without it, and their mean time before and since';
comment on column dbre.rule_settings.rule is 'as in dbre.rules';
comment on column dbre.suppressions.rule is 'whose findings on matching objects are suppressed';
comment on column dbre.suppressions.reason is 'why they are accepted';
comment on column dbre.suppressions.created_at is 'when they were suppressed, or the reason last changed';
comment on column dbre.suppressions.created_by is 'the session user who did it';
comment on view dbre.findings is 'All findings about this database: dbre.check() without arguments';
comment on view dbre.rules is 'Every rule with its documentation, options, defaults and current settings';
comment on function dbre.explain_findings(text, boolean, text[], boolean, boolean, interval, text) is
'What makes a query slow, and what would make it fast, ranked by the share of its time or cost that each explains; with analyze => true it is run and rolled back';
comment on function dbre.plan_findings(text) is
'What a plan from elsewhere shows: from EXPLAIN, in JSON or text format, or auto_explain';
comment on function dbre.plan_findings(jsonb) is
'What a plan from elsewhere shows: from EXPLAIN, in JSON or text format, or auto_explain';
comment on function dbre.plan_nodes(text, boolean, text[], boolean, interval, text, text) is
'One row for each node of a plan: own and total time, own blocks, estimated and actual rows, share of the whole';
comment on function dbre.slow_queries() is 'What the view dbre.slow_queries shows';
comment on view dbre.slow_queries is
    'The statements that pg_stat_statements has counted in this database, those with most total time first, with targets; note says what is missing';
comment on function dbre.snapshot_workload() is
    'Keeps the counters of pg_stat_statements for dbre.workload_findings() to compare with; returns the time that identifies them';
comment on function dbre.workload_findings(int, interval, timestamptz) is
    'What is wrong with the workload that pg_stat_statements has counted, most urgent first, compared with a snapshot where there is one';
comment on function dbre.n_plus_one(int, interval) is
'Statements that the application repeats for each row of another statement (N+1), by pg_stat_statements and by what the hook has seen, with what would load all at once';
comment on function dbre.n_plus_one_bursts() is 'What the view dbre.n_plus_one_bursts shows';
comment on view dbre.n_plus_one_bursts is
    'SELECTs that clients repeated in one transaction or within dbre.n_plus_one_window, with the statement before them; needs pg_dbre to be preloaded';
comment on function dbre.n_plus_one_recording() is
    'Whether sessions that begin now are watched for bursts, if not why, and how many rows have made room for others';
comment on function dbre.reset_n_plus_one_bursts() is
    'Forgets the bursts that were seen in this database; returns how many rows of dbre.n_plus_one_bursts that were';
comment on function dbre.log_findings(timestamptz, text[]) is
    'What the server''s log (csvlog or jsonlog) tells since a time: slow statements, lock waits, deadlocks, temporary files, errors, checkpoints, refused connections, crashes';
comment on column dbre.slow_queries.kind is
    'hot, regular or complex, which have targets (rule slow_query); utility; or pg_dbre, this extension''s own';
comment on column dbre.slow_queries.share is 'of the time of all statements of the database, 0 to 1; those that functions run are in their callers'', too';
comment on column dbre.slow_queries.deviation_ms is 'of the population';
comment on column dbre.slow_queries.p95_ms_estimated is 'mean and 1.645 deviations, the slowest call left out: there is no distribution to read';
comment on column dbre.slow_queries.hit_ratio is 'of the shared blocks, found in shared_buffers, 0 to 1';
comment on column dbre.slow_queries.planning_ms is 'null: pg_stat_statements.track_planning is off';
comment on column dbre.slow_queries.io_ms is 'null: track_io_timing is off';
comment on column dbre.slow_queries.top_level is 'not run by a function';
comment on column dbre.slow_queries.since is 'since when the entry has counted';
comment on column dbre.slow_queries.note is 'why there are none, or what is missing';
comment on function dbre.migration_findings(text, boolean, bigint, text, text) is
    'What a migration would do to this database that it should not: locks, rewrites, lost data, broken applications; nothing is executed';
comment on function dbre.migration_plan(text, text, boolean, bigint, interval, integer, text) is
    'A migration the safe way, as SQL or as operations of Alembic: each row can be run as it stands, in order; nothing is executed';
comment on function dbre.migration_steps(text, boolean, text) is
    'What each statement of a migration would lock, rewrite and read, and how long it would take; nothing is executed';
comment on function dbre.cascade_impact(regclass, text, boolean) is
    'The tree of what a DELETE, TRUNCATE CASCADE or UPDATE of keys reaches through foreign keys: actions, rows for each parent row, indexes, triggers, cycles, and what is slow or dangerous';
comment on function dbre.cascade_findings(regclass, text, boolean) is
    'What is slow or dangerous on the way of a DELETE, TRUNCATE CASCADE or UPDATE of keys through foreign keys, most urgent first';
comment on function dbre.migration_dry_run(text, boolean, interval, interval, boolean, text) is
    'Runs a migration and rolls it back: what each statement really locked, rewrote and read, and how long it took';
comment on function dbre.migration_round_trip(text, text, boolean, interval, interval, boolean, text) is
    'Runs a migration up, down and up again, rolls it back, and lists what down does not bring back and what up does not repeat';
comment on function dbre.migration_rollback(text, text) is
    'The reverse of a migration, from the catalogs as they are before it, in the order in which it is to run, with the rows that do not come back';
comment on function dbre.vector_index_advice(regclass, float8, int, text, text, int, bigint, interval) is
    'What is wrong or could be better with vector columns, their indexes and the searches on them; findings with the index to build, its size and memory, and settings';
comment on function dbre.vector_indexes() is 'What the view dbre.vector_indexes shows';
comment on view dbre.vector_indexes is
    'HNSW and IVFFlat indexes with key, operator class, options, size, rows and scans';
comment on function dbre.vector_recall(regclass, int, int, text, text, int[], int[], text, int, int, interval, boolean, text) is
    'What a vector index finds of the k nearest rows, measured against exact answers, with latency and pages; optionally kept as a baseline';
comment on function dbre.vector_tune(regclass, float8, int, int, text, text, float8, boolean, int, int, interval, text) is
    'The cheapest setting of a vector index that reaches a recall, measured, with all that were tried; build => true tries other indexes on a sample, and takes them back';
comment on function dbre.vector_capture() is
    'Whether searches for vectors are captured into dbre.vector_queries, if not why, and how many wait, were dropped, are stored';
comment on function dbre.forget_vector_queries(regclass, interval) is
    'Deletes captured searches of a table, or of all, that are older than an interval, or all; returns how many';
comment on function dbre.vector_drift(regclass, int, interval) is
    'How the recall of vector indexes has changed since their baselines were saved, measured again with the same k, settings and queries';
comment on column dbre.vector_indexes.baseline_recall is 'measured, of the baseline saved last without a filter; null: dbre.vector_recall(…, save => true) was not called';
comment on function dbre.pgbouncer_pressure(text, interval) is
'What a PgBouncer says of itself on its console (a foreign server or a connection string, asked by dblink): findings, most urgent first, then one row for each of its pools';
comment on function dbre.pool_pressure(text, text) is
    'Why the connections are exhausted, and what to do now: findings, most urgent first, then one row for each pool';
comment on function dbre.pool_sizing(int, numeric, int, int, numeric, int, text, boolean, text, int, numeric) is
    'Sizes of connection pools for an application, with what each number rests on, and texts to paste into SQLAlchemy, PgBouncer and psql';
comment on function dbre.lock_tree() is
    'Who blocks whom: everyone who waits for a lock or holds up one who does, once, in the order of a tree whose roots nobody blocks';
comment on view dbre.lock_tree is
    'Who blocks whom now: everyone who waits for a lock or holds up one who does, below the one that holds it up, with what ends each';
comment on column dbre.lock_tree.root_pid is 'nobody blocks it, or, where all block each other, it has waited longest; null: a prepared transaction';
comment on column dbre.lock_tree.blocked_by is 'all that hold or queue before it for what it waits for, as pg_blocking_pids() has them; or whose end replay on a standby, or a VACUUM at a page that is pinned, waits for (estimated); 0: a prepared transaction';
comment on column dbre.lock_tree.waiting_seconds is 'of replay on a standby that waits for no lock: at most';
comment on column dbre.lock_tree.blocks_in_all is 'how many it holds up, directly or over others, whichever of several blockers they are shown below';
comment on column dbre.lock_tree.end_sql is 'cancels what it runs or ends its session, if it is still the same; null: a part of the server, a prepared transaction, a commit that waits for a standby, one that shows neither times nor a transaction id, or not the caller''s to end';
comment on function dbre.long_running() is 'What the view dbre.long_running shows';
comment on view dbre.long_running is
    'What has run for more than a second, longest first: statements, transactions, maintenance with progress, backups, prepared transactions';
comment on column dbre.long_running.blocked is 'it waits in dbre.lock_tree, as that shows also of sessions that are hidden from the caller, or its wait event is a lock';
comment on column dbre.long_running.progress_percent is 'measured, of the phase that progress names, not of the whole command; null: its size is not known';
comment on column dbre.long_running.snapshot_age is 'how many transactions ago its snapshot was taken, or it began to write; null: it keeps no dead rows';
comment on column dbre.long_running.holds_back_vacuum is 'it began longest ago of all that see its database: dead rows that VACUUM could remove wait for it';
comment on column dbre.long_running.writes is 'it has a transaction id: it has written, or locked rows';
comment on column dbre.long_running.usual_ms is 'measured: mean of the earlier runs that pg_stat_statements has counted for this user and database; null: none, or not readable';
comment on column dbre.long_running.longest_ms is 'measured: the longest of the earlier runs';
comment on column dbre.long_running.end_sql is 'ends exactly this statement, or this session, if it is still the same; null: nothing ends it, or the caller may not';
comment on function dbre.sample_activity(interval, interval, text) is
    'What sessions do and wait for, looked at again and again for a while: by pool, wait event, statement and state';
comment on function dbre.start_activity_history(interval, interval) is
    'Starts the background worker that records what sessions do into dbre.activity_history, or gives it other times';
comment on function dbre.stop_activity_history() is
    'Stops the recording into dbre.activity_history; what was recorded stays until the server ends';
comment on function dbre.activity_recording() is
    'Whether what sessions do is recorded, if not why, since when, how much of it there is, and what it costs';
comment on function dbre.activity_history() is 'What the view dbre.activity_history shows';
comment on view dbre.activity_history is
    'By period: connections, pools and waits as the background worker has sampled them; in shared memory, gone when the server ends';

-- Few rows of many, each found by reading all.
create table corpus.shipments (
    id bigint generated always as identity primary key,
    tracking text not null,
    carrier text not null,
    state text not null,
    weight_grams integer not null,
    attributes jsonb not null,
    labels text[] not null,
    sent_at timestamptz not null
);
insert into corpus.shipments (tracking, carrier, state, weight_grams, attributes, labels, sent_at)
select
    'TR' || md5(n::text), 'carrier ' || n % 12, case when n % 400 = 0 then 'lost' else 'delivered' end, n::bigint * 7919 % 30000,
    jsonb_build_object('box', n % 9000, 'fragile', n % 2 = 0), array['l' || n % 5000, 'all'], now() - interval '1 minute' * n
from generate_series(1, 500000) n;
vacuum analyze corpus.shipments;

-- query: shipment_by_tracking
-- why: The number that every customer asks by has no index.
-- expects: sequential_scan_discards_rows
select id, state from corpus.shipments where tracking = 'TR' || md5('424242');

-- query: lost_heavy_shipments
-- why: Lost ones are a quarter of a percent: a partial index would have just them.
-- expects: sequential_scan_discards_rows
select id, tracking from corpus.shipments where state = 'lost' and weight_grams > 25000;

-- query: shipments_of_a_box
-- why: The box lies inside the JSON; the containment wants a GIN index, or an index on the expression.
-- expects: sequential_scan_discards_rows
-- may: row_estimate_off
select id, tracking from corpus.shipments where attributes @> '{"box": 4321}';

-- query: shipments_with_a_label
-- why: One label of 5,000 in an array: a GIN index finds its hundred rows.
-- expects: sequential_scan_discards_rows
select id, tracking from corpus.shipments where labels @> array['l77'];

-- query: atoms_by_words_inside
-- why: A word inside the text is sought by ILIKE in 400,000 atoms: only a trigram index serves.
-- expects: sequential_scan_discards_rows
-- may: row_estimate_off
select id, title from app.atoms where title ilike '%REF31415%';

-- query: runs_over_budget
-- why: A thousandth of the rows by a column without index, in a join that needs nothing else of the table.
-- expects: sequential_scan_discards_rows
select c.id, c.label
from corpus.shipments s join app.classifications c on c.tenant_id = 1 and c.id = s.id
where s.weight_grams < 10 and s.carrier = 'carrier 3';

-- query: last_events_of_an_actor
-- why: Deletions by the worker of two weeks are sought among all events.
-- expects: sequential_scan_discards_rows
-- may: index_scan_filters_rows
select tenant_id, table_name, row_id from audit.events
where action = 'delete' and actor = 'app_worker' and occurred_at > date_trunc('month', now()) - interval '14 days';

-- query: planned_scan_of_tasks
-- why: Only planned: one day of completions out of a year, and no index knows completed_at.
-- expects: sequential_scan_discards_rows
-- analyze: no
select id, title from app.tasks where completed_at between now() - interval '91 days' and now() - interval '90 days';

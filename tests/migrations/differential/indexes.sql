create index on plain (a)
create index plain_b on plain (b)
create unique index on plain (a)
create index if not exists plain_b on plain (b)
create index if not exists customers_name on customers (name)
create index on plain (lower(b))
create index on plain (a) where b <> ''
create index on plain (a) include (b)
create index on plain using hash (b)
create index on plain using brin (a)
create index on customers using gin (tags)
create index on customers using gist (host inet_ops)
create index on plain (a desc nulls last)
create index on plain (b collate "C")
create index on plain (b text_pattern_ops)
create index on plain (a) with (fillfactor = 70)
create index on only plain (a)
create index on empty (a)
create index on events (amount)
create index on only events (amount)
create index on events_2025 (amount)
create index on events_2024 (amount)
create index on only events (amount);
  create index part_a on events_2024 (amount)
create index on regions (city)
create unique index on buckets (id)
create index on animals (name)
create index on order_totals (total)
create index on unfilled (a)
create index on "Größe"."Bestell Ung" ("Straße", "select")
create index on scratch (a)
create table new_one (a int);
  create index on new_one (a)
create index one on plain (a);
  create index two on plain (b)
drop index customers_name
drop index if exists nothing_there
drop index if exists customers_name, customers_phone
drop index events_kind
drop index order_totals_customer_id
drop index "Größe"."Straßen ""Index"""
drop index item_counts_items cascade
reindex index customers_name
reindex index customers_pkey
reindex table plain
reindex table customers
reindex table items
reindex table order_totals
reindex (verbose) table orders
alter index events_kind attach partition events_2024_kind_idx
create index e on only events (amount);
  create index e_1 on events_2024 (amount);
  alter index e attach partition e_1
create statistics plain_stats on a, b from plain
create statistics if not exists customers_stats on name, phone from customers
create statistics expressions on (lower(b)), a from plain
alter statistics customers_stats set statistics 100
alter statistics customers_stats rename to cs
alter statistics customers_stats set schema archive
alter statistics customers_stats owner to shop_reader
drop statistics customers_stats
drop statistics if exists nothing_there
cluster customers using customers_name
cluster order_totals using order_totals_customer_id
cluster "Größe"."Bestell Ung" using "Straßen ""Index"""
analyze plain
analyze events
analyze customers (name), orders

drop table plain cascade
drop table empty
drop table if exists nothing_there
drop table if exists fresh, empty
drop table items cascade
drop table orders cascade
drop table customers cascade
drop table products cascade
drop table categories
drop table watched cascade
drop table events cascade
drop table events_2024 cascade
drop table events_default cascade
drop table events_2025 cascade
drop table events_2025_click cascade
drop table event_notes
drop table events, event_notes
drop table regions_north
drop table regions
drop table zones_rest
drop table buckets
drop table buckets_0
drop table animals cascade
drop table dogs cascade
drop table puppies
drop table logins
drop table accounts cascade
drop table logins, accounts
drop table "Größe"."Bestell Ung"
drop table archive.old_orders
drop table bookings
drop table typed
drop table deferred_child
drop foreign table outside
drop table customers, orders, items, fresh, event_notes, deferred_child, events cascade
drop view plain_view
drop view customer_names cascade
drop view if exists nothing_there
drop view named_orders, customer_names
drop materialized view order_totals
drop materialized view if exists item_counts, unfilled
drop sequence loose_numbers
drop sequence categories_id_seq cascade
drop sequence if exists nothing_there
drop type state cascade
drop type address cascade
drop type unused_state
drop type if exists nothing_there
drop type size cascade
drop domain positive cascade
drop domain code cascade
drop domain required cascade
drop function volatile_number()
drop function stamp() cascade
drop function if exists nothing_there()
drop procedure touch_customers
drop schema archive cascade
drop schema shop
drop schema "Größe" cascade
drop schema if exists nothing_there cascade
drop extension citext cascade
drop extension btree_gist cascade
drop trigger stamp_watched on watched
drop trigger if exists nothing_there on watched
drop policy readers on watched
drop policy if exists nothing_there on watched
drop rule no_delete on watched
drop collation german
drop owned by shop_reader
drop server nowhere cascade
drop foreign data wrapper nothing cascade
drop table plain cascade;
  create table plain (a int)
drop view plain_view;
  drop materialized view unfilled;
  alter table plain drop column b
drop table customers cascade;
  drop table orders cascade

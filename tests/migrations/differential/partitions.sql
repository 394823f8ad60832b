alter table events attach partition events_2027 for values from ('2027-01-01') to ('2028-01-01')
alter table events attach partition events_2028 for values from ('2028-01-01') to ('2029-01-01')
alter table regions attach partition regions_west for values in ('west')
alter table regions attach partition regions_checked for values in ('checked')
alter table regions attach partition regions_nullable for values in ('nullable')
alter table regions attach partition regions_west default
alter table zones attach partition zones_west for values in ('west')
alter table zones attach partition zones_north for values in ('north')
alter table regions_nullable alter column region set not null;
  alter table regions attach partition regions_nullable for values in ('nullable')
alter table regions_west add check (region = 'west' and region is not null);
  alter table regions attach partition regions_west for values in ('west')
alter table regions_west add check (region = 'west') not valid;
  alter table regions attach partition regions_west for values in ('west')
create table regions_new (like regions);
  alter table regions attach partition regions_new for values in ('new')
create table regions_east partition of regions for values in ('east')
create table regions_other partition of regions default
create table regions_none partition of regions for values in (null)
create table events_2026 partition of events for values from ('2030-01-01') to ('2031-01-01')
create table events_2026 partition of events for values from ('2030-01-01') to ('2031-01-01') partition by list (kind)
create table zones_west_2 partition of zones for values in ('west')
create table zones_south partition of zones for values in ('south')
create table events_2025_view partition of events_2025 for values in ('purchase')
drop table buckets_0;
  create table buckets_0 partition of buckets for values with (modulus 2, remainder 0)
create table if not exists events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01')
alter table events detach partition events_2024
alter table events detach partition events_default
alter table events_2025 detach partition events_2025_click
alter table regions detach partition regions_north
alter table zones detach partition zones_east
alter table zones detach partition zones_rest
alter table buckets detach partition buckets_0
alter table zones detach partition zones_rest;
  alter table zones attach partition zones_rest default
alter table regions detach partition regions_south;
  drop table regions_south
alter table events_2024 add constraint amounts check (amount > 0)
alter table events_2024 alter column amount set not null
alter table events_2024 set (fillfactor = 70)
alter table events_2025 add constraint amounts check (amount > 0)
alter table events rename column kind to sort
alter table events_2024 rename to events_old
alter table events owner to postgres
alter table events enable row level security
alter table events set schema archive
create trigger t after insert on events for each row execute function audit()
create trigger t after insert on events for each statement execute function audit()
create trigger t before insert on events_2024 for each row execute function stamp()
alter table events add column d int;
  create index on events (d)
alter table events replica identity full
alter table events disable trigger all
alter table only events disable trigger all
create policy p on events using (true)
comment on table events is 'e'
grant select on events to shop_reader
alter table regions alter column people type bigint
alter table regions add primary key (region, city, people)
delete from events where amount = 5
delete from events where happened = '2024-02-01'
update events set amount = 1 where happened >= '2025-01-01' and happened < '2026-01-01' and kind = 'click'
insert into events values (100000, '2024-03-03', 'click', 1, 1)
truncate events_2024 cascade
reindex table events_2024
analyze events

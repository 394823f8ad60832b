alter table plain alter column a set not null
alter table plain alter column a set not null, alter column b set not null
alter table customers alter column quota set not null
alter table customers alter column rank set not null
alter table customers alter column bonus set not null
alter table customers alter column name set not null
alter table only animals alter column name set not null
alter table animals alter column name set not null
alter table events alter column amount set not null
alter table regions alter column region set not null
alter table empty alter column a set not null
alter table plain add check (a is not null) not valid;
  alter table plain validate constraint plain_a_check;
  alter table plain alter column a set not null
alter table plain add check (a is not null) not valid;
  alter table plain alter column a set not null
alter table plain add constraint c check (a is not null and b is not null);
  alter table plain alter column b set not null
alter table plain add constraint c check (a > 0 and a is not null);
  alter table plain alter column a set not null;
  alter table plain drop constraint c
alter table plain alter column a set not null;
  alter table plain alter column a set not null
alter table customers alter column name drop not null
alter table plain add check (a > 0)
alter table plain add constraint positive check (a > 0) not valid
alter table plain add constraint positive check (a > 0), add constraint b_there check (b <> '')
alter table plain add check (a > 0), add column d int
alter table plain add check (volatile_number() > 0)
alter table plain add check (a > 0) no inherit
alter table animals add check (legs < 10)
alter table animals add constraint few_legs check (legs < 10) not valid
alter table only animals add constraint few_legs check (legs < 10) no inherit
alter table events add check (amount > 0)
alter table events add constraint amount_known check (amount is not null) not valid
alter table events add constraint amount_known check (amount is not null) not valid;
  alter table events validate constraint amount_known
alter table customers validate constraint score_sane
alter table customers validate constraint rank_known
alter table customers validate constraint rank_known;
  alter table customers alter column rank set not null
alter table customers validate constraint age_positive
alter table orders validate constraint orders_payer
alter table orders validate constraint orders_lines
alter table orders validate constraint orders_lines, validate constraint orders_payer
alter table customers drop constraint age_positive
alter table customers drop constraint customers_email_key
alter table customers drop constraint if exists nothing_there
alter table orders drop constraint orders_payer
alter table orders drop constraint orders_customer_id_fkey
alter table orders drop constraint orders_pkey cascade
alter table items drop constraint items_pkey
alter table categories drop constraint categories_parent_id_fkey
alter table event_notes drop constraint event_notes_event_id_happened_kind_fkey
alter table events drop constraint events_customer_id_fkey
alter table events drop constraint events_pkey cascade
alter table animals drop constraint animals_legs_check
alter table bookings drop constraint bookings_room_during_excl
alter table plain add unique (a)
alter table plain add constraint u unique (a, b) deferrable
alter table plain add unique nulls not distinct (a) include (b)
alter table plain add primary key (a)
alter table plain add constraint plain_pk primary key (a, c)
alter table plain add exclude using gist (a with =)
alter table plain alter column a set not null, add primary key (a)
alter table fresh add constraint fresh_amount_key unique using index fresh_amount
alter table fresh drop constraint fresh_pkey, add constraint fresh_pk primary key using index fresh_amount
alter table customers drop constraint customers_pkey cascade, add primary key using index customers_quota
alter table customers drop constraint customers_pkey cascade, add primary key using index customers_bonus
alter table customers add constraint tokens unique using index customers_token
alter table buckets drop constraint buckets_pkey;
  alter table buckets add primary key (id)
alter table events add unique (id, happened, kind)
alter table regions add unique (region, city, people)
alter table fresh add foreign key (customer_id) references customers
alter table fresh add foreign key (customer_id) references customers (id) not valid
alter table fresh add constraint k foreign key (order_id) references orders on delete cascade on update cascade
alter table fresh add constraint k foreign key (order_id) references orders not valid;
  alter table fresh validate constraint k
alter table fresh add foreign key (customer_id) references customers, add foreign key (order_id) references orders
alter table fresh add foreign key (amount) references fresh
alter table fresh add foreign key (amount) references buckets
alter table event_notes add foreign key (id) references buckets
alter table regions add foreign key (people) references buckets
alter table fresh add foreign key (order_id) references orders deferrable initially deferred
alter table orders alter constraint orders_customer_id_fkey deferrable
alter table events alter constraint events_customer_id_fkey deferrable initially deferred
alter table deferred_child alter constraint deferred_child_order_id_fkey not deferrable
alter table plain add column p bigint, add foreign key (p) references customers
alter table plain add column p bigint;
  alter table plain add constraint k foreign key (p) references customers
create table child (id int primary key, customer_id bigint);
  alter table child add foreign key (customer_id) references customers
create table parent (id int primary key);
  alter table plain add column p int references parent
alter table orders rename constraint orders_lines to lines_known
alter table customers rename constraint customers_pkey to customers_id
alter domain positive add constraint under check (value < 1000000)
alter domain positive add constraint under check (value < 1000000) not valid
alter domain loose validate constraint loose_check
alter domain positive drop constraint positive_check
alter domain positive set not null
alter domain code set not null
alter domain code drop not null
alter domain required drop not null
alter domain code set default 'x'
alter domain code drop default
alter domain small_positive add check (value > -5)
alter domain positive rename to positive_int
alter domain positive rename constraint positive_check to over_zero
alter domain positive set schema archive
alter domain positive owner to shop_reader
alter domain label add check (value <> '')
create domain fraction as numeric check (value < 1)
create domain fraction as int check (value < 1);
  alter table plain add column d fraction
drop domain loose cascade
drop domain label

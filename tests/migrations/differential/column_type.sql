alter table customers alter column phone type varchar(40)
alter table customers alter column phone type varchar
alter table customers alter column phone type varchar(10)
alter table customers alter column phone type text
alter table accounts alter column email type varchar(200)
alter table accounts alter column email type text
alter table customers alter column handle type varchar
alter table customers alter column handle type varchar(50)
alter table customers alter column handle type citext
alter table customers alter column note type varchar
alter table customers alter column payload type jsonb
alter table customers alter column payload type text
alter table customers alter column score type numeric(12, 2)
alter table customers alter column score type numeric(12, 4)
alter table customers alter column score type numeric(8, 2)
alter table customers alter column score type numeric
alter table customers alter column score type float8
alter table customers alter column small type int
alter table customers alter column small type bigint
alter table customers alter column age type bigint
alter table customers alter column age type smallint
alter table customers alter column age type int
alter table customers alter column real4 type float8
alter table customers alter column created type timestamp
alter table customers alter column created type timestamptz(3)
alter table customers alter column seen type timestamp(6)
alter table customers alter column seen type timestamp
alter table customers alter column seen type timestamp(0)
alter table customers alter column seen type timestamptz
alter table customers alter column wait type interval(6)
alter table customers alter column wait type interval
alter table customers alter column wait type interval(0)
alter table customers alter column wait type interval day to second
alter table customers alter column flags type bit varying(16)
alter table customers alter column flags type bit varying
alter table customers alter column flags type bit varying(4)
alter table customers alter column mask type bit varying
alter table customers alter column mask type bit(4)
alter table customers alter column net type inet
alter table customers alter column host type cidr using host::cidr
alter table customers alter column host type text
alter table customers alter column code type text
alter table customers alter column note type code
alter table customers alter column phone type label
alter table customers alter column level type int
alter table customers alter column bonus type positive
alter table customers alter column rank type loose
alter table customers alter column code type varchar(10)
alter table customers alter column state type text
alter table customers alter column tags type bigint[]
alter table customers alter column words type varchar(20)[]
alter table customers alter column words type text[]
alter table customers alter column fixed type char(20)
alter table customers alter column fixed type text
alter table customers alter column fixed type varchar(10)
alter table customers alter column token type text
alter table customers alter column born type timestamp
alter table customers alter column nick type text
alter table customers alter column nick type varchar
alter table customers alter column home type text
alter table customers alter column quota type bigint using quota::bigint
alter table customers alter column quota type int using quota + 1
alter table customers alter column quota type int using quota
alter table customers alter column quota type int using quota::int
alter table customers alter column phone type text using phone::text
alter table customers alter column phone type text using lower(phone)
alter table customers alter column phone type text using phone
alter table customers alter column phone type varchar(30) using phone::varchar(30)
alter table customers alter column phone type varchar(40) collate "C"
alter table customers alter column handle type text collate "C"
alter table customers alter column handle type text collate german
alter table customers alter column note type text collate "C"
alter table customers alter column rank type int using immutable_number()
alter table customers alter column bonus type oid
alter table customers alter column phone type citext
alter table customers alter column phone type varchar(40), alter column note type varchar
alter table customers alter column phone type varchar(40), alter column age type bigint
alter table customers alter column small type int, alter column small set default 1
alter table accounts alter column id type bigint
alter table accounts alter column owner_id type bigint
alter table logins alter column account_id type bigint
alter table logins alter column id type bigint
alter table customers alter column created set data type timestamptz using created at time zone 'UTC'
alter table products alter column sku type varchar(50)
alter table products alter column sku type varchar
alter table products alter column sku type code
alter table products alter column title type varchar(300)
alter table products alter column title type text
alter table products alter column price type numeric(14, 2)
alter table products alter column stock type bigint
alter table orders alter column sku type varchar
alter table orders alter column sku type varchar(100)
alter table orders alter column payer_id type int
alter table orders alter column lines type bigint
alter table orders alter column state type varchar
alter table orders alter column placed type timestamp
alter table items alter column order_id type bigint
alter table items alter column amount type code
alter table categories alter column id type bigint
alter table categories alter column parent_id type bigint
alter table event_notes alter column note type varchar
alter table event_notes alter column event_id type int
alter table events alter column amount type bigint
alter table events alter column amount type text
alter table events alter column customer_id type int
alter table buckets alter column load type bigint
alter table animals alter column legs type bigint
alter table animals alter column name type varchar
alter table animals alter column name type varchar(50)
alter table dogs alter column breed type varchar(20)
alter table utc alter column at type timestamptz
alter table utc alter column at_zone type timestamp
alter table utc alter column day type timestamp
set timezone = 'Europe/Berlin';
  alter table utc alter column at type timestamptz
set timezone = 'Europe/Berlin';
  alter table utc alter column at_zone type timestamp
set timezone = 'UTC';
  alter table utc alter column at_zone type timestamp
set local timezone to 'America/New_York';
  set timezone to 'UTC';
  alter table utc alter column at_zone type timestamp
alter table loose_users alter column p type int
alter table loose_users alter column s type positive
alter table loose_users alter column s type int
alter table loose_users alter column l type int
alter table loose_users alter column id type loose
alter table loose_users alter column r type text
alter table customers alter column tags type positive[]
alter table bookings alter column room type bigint
alter table bookings alter column during type int8range using int8range(lower(during), upper(during))
alter table scratch alter column b type varchar
alter table scratch alter column a type bigint
alter table empty alter column a type bigint
alter table "Größe"."Bestell Ung" alter column "Straße" type varchar(5)
alter table "Größe"."Bestell Ung" alter column "Straße" type varchar
alter table outside alter column note type varchar
alter table watched alter column owner_name type varchar
alter table fresh alter column amount type bigint, add column d int default 1, alter column name set not null
alter table fresh alter column id type bigint
alter table fresh alter column name type varchar(3) using left(name, 3)
alter type size alter attribute width type bigint cascade
alter type size add attribute depth int cascade
alter type size rename attribute width to wide cascade
alter type size drop attribute width cascade

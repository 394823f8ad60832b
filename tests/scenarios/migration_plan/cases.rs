//! Migrations over tests/migrations/plan_schema.sql, with what their plans must contain.

pub struct Case {
    pub migration: &'static str,
    pub contains: &'static [&'static str],
    /// Columns whose values are others each time.
    pub ignored: &'static [&'static str],
    /// It stays as it is, and the plan says why; or it is about a new table.
    pub as_it_is: Option<&'static str>,
}

const fn case(migration: &'static str, contains: &'static [&'static str]) -> Case {
    Case { migration, contains, ignored: &[], as_it_is: None }
}

const fn volatile(
    migration: &'static str,
    contains: &'static [&'static str],
    ignored: &'static [&'static str],
) -> Case {
    Case { migration, contains, ignored, as_it_is: None }
}

const fn stays(migration: &'static str, why: &'static str) -> Case {
    Case { migration, contains: &[], ignored: &[], as_it_is: Some(why) }
}

pub const CASES: &[(&str, &[Case])] = &[
    ("indexes", INDEXES),
    ("constraints", CONSTRAINTS),
    ("columns", COLUMNS),
    ("types", TYPES),
    ("partitions", PARTITIONS),
    ("rows", ROWS),
    ("others", OTHERS),
    ("transactions", TRANSACTIONS),
];

const INDEXES: &[Case] = &[
    case("create index on orders (customer_id)", &["CONCURRENTLY orders_customer_id_idx"]),
    case("create index on orders (customer_id, customer_id) include (amount)", &["CONCURRENTLY"]),
    case("create unique index if not exists u on orders (ref) where ref > 5", &["CONCURRENTLY"]),
    case("create index on orders (lower(note), (amount + 1) desc)", &["CONCURRENTLY"]),
    case("create index /* on */ \"Idx\" on \"My Shop\".\"Order Items\" using hash (\"Größe\")", &["CONCURRENTLY"]),
    case("create index on \"My Shop\".\"Order Items\" (\"Größe\", \"select\" text_pattern_ops)", &["CONCURRENTLY"]),
    case(
        "create index on events (v)",
        &["ON ONLY public.events", "CONCURRENTLY events_2a_v_idx", "PARTITION public.events_1_v_idx"],
    ),
    case("create unique index ev_u on events (at, v, id)", &["ON ONLY", "ATTACH PARTITION"]),
    case("drop index orders_note_idx", &["DROP INDEX CONCURRENTLY"]),
    case("drop index if exists orders_note_idx, orders_price_idx", &["CONCURRENTLY IF EXISTS public.orders_price_idx"]),
    case("reindex index orders_note_idx", &["reindex index CONCURRENTLY"]),
    case("reindex (verbose) table orders", &["CONCURRENTLY"]),
];

const CONSTRAINTS: &[Case] = &[
    case(
        "alter table orders alter customer_id set not null",
        &["IS NOT NULL) NOT VALID", "VALIDATE", "DROP CONSTRAINT"],
    ),
    case("alter table events alter customer_id set not null", &["VALIDATE"]),
    case("alter table orders add check (amount > 0)", &["orders_amount_check", "NOT VALID", "VALIDATE"]),
    case("alter table orders add check (amount > price - 1000000)", &["orders_check", "NOT VALID"]),
    case(
        "alter table \"My Shop\".\"Order Items\" add constraint \"Ok?\" check (\"Größe\" >= 0) no inherit",
        &["NOT VALID"],
    ),
    case("alter table events add check (v < 100)", &["VALIDATE"]),
    case(
        "alter table orders add x int, add check (x > 0), add foreign key (x) references customers",
        &["orders_x_check", "VALIDATE"],
    ),
    case("alter table orders add foreign key (customer_id) references customers", &["NOT VALID", "VALIDATE"]),
    case(
        "alter table orders add constraint f foreign key (customer_id) references customers (id) on delete cascade deferrable initially deferred",
        &["NOT VALID", "VALIDATE"],
    ),
    case(
        "alter table events add foreign key (customer_id) references customers (id) on update cascade",
        &["NOT VALID", "VALIDATE"],
    ),
    case("alter table customers add unique (email)", &["CONCURRENTLY customers_email_key", "USING INDEX"]),
    case(
        "alter table customers add constraint u unique nulls not distinct (email) include (name) deferrable",
        &["USING INDEX"],
    ),
    case("alter table metrics_2 add primary key (at, v)", &["metrics_2_pkey", "NOT VALID"]),
    case("alter table events add primary key (id, at, v)", &["events_2a_pkey", "ATTACH PARTITION"]),
    case("alter table events add constraint ev_key unique (at, v, id)", &["ATTACH PARTITION"]),
    case(
        "alter table orders add check (ref > 0), add foreign key (customer_id) references customers (id), add x int default 4, drop payload",
        &["orders_ref_check", "NOT VALID", "VALIDATE"],
    ),
];

const COLUMNS: &[Case] = &[
    volatile(
        "alter table tickets add column u uuid not null default gen_random_uuid()",
        &["session_replication_role"],
        &["u"],
    ),
    volatile(
        "alter table orders add column u uuid not null default gen_random_uuid()",
        &["= DEFAULT", "COMMIT", "VALIDATE"],
        &["u"],
    ),
    volatile(
        "alter table lines add column r float8 default random() check (r >= 0)",
        &["lines_r_check", "(order_id, line) >="],
        &["r"],
    ),
    volatile("alter table orders add column n bigserial", &["CREATE SEQUENCE public.orders_n_seq", "OWNED BY"], &["n"]),
    volatile("alter table orders add n serial unique", &["CONCURRENTLY orders_n_key"], &["n"]),
    volatile(
        "alter table orders add n int generated by default as identity (start with 10 increment by 5)",
        &["ADD GENERATED BY DEFAULT", "setval"],
        &["n"],
    ),
    volatile("alter table lines add n bigint generated always as identity unique", &["ADD GENERATED ALWAYS"], &["n"]),
    volatile(
        "alter table \"My Shop\".\"Order Items\" add \"N n\" uuid default gen_random_uuid() unique",
        &["CONCURRENTLY"],
        &["N n"],
    ),
    case(
        "alter table orders add c int not null default 5 constraint pos check (c > 0) references customers",
        &["NOT VALID"],
    ),
    case("alter table orders add c int unique", &["USING INDEX"]),
    case("alter table orders add c int references customers (id), add d text default 'x'", &[]),
    stays("alter table orders add g int generated always as (ref + 1) stored", "stored generated column"),
    stays("alter table orders add g positive", "the domain's base type"),
];

const TYPES: &[Case] = &[
    case(
        "alter table orders alter status drop default, alter status type mood using (case status when 'new' then 'happy' else 'sad' end)::mood, alter status set default 'sad'",
        &["SET DEFAULT 'sad'", "DROP COLUMN"],
    ),
    case("alter table tickets alter subject type varchar(9)", &["row_security = off"]),
    case("alter table orders alter price type bigint", &["CREATE TRIGGER", "RENAME COLUMN", "DROP COLUMN"]),
    case("alter table tickets alter id type bigint; insert into tickets (subject) values ('last ')", &["IDENTITY"]),
    stays(
        "alter table customers add k int references customers; alter table customers alter id type bigint",
        "refers to it",
    ),
    case("alter table orders alter id type bigint", &["PRIMARY KEY USING INDEX", "DROP COLUMN"]),
    case("alter table orders alter ref type numeric(12, 1)", &["ref_small", "DROP COLUMN"]),
    case("alter table orders alter payload type jsonb", &["DROP COLUMN"]),
    case("alter table orders alter status type char(20)", &["DROP COLUMN"]),
    case("alter table lines alter what type varchar(20) using lines.what || '!'", &["SELECT (lines.what || '!')"]),
    case(
        "alter table orders alter made type timestamptz using orders.made at time zone 'Europe/Berlin'",
        &["DROP COLUMN"],
    ),
    case("alter table lines alter line type bigint", &["lines_pkey"]),
    case(
        "alter table \"My Shop\".\"Order Items\" alter \"Größe\" type numeric(8, 3) using \"Größe\" / 2.0",
        &["DROP COLUMN"],
    ),
    case(
        "alter table orders alter note type text collate pg_catalog . \"C\" using note",
        &["orders_note_idx_new", "DROP COLUMN"],
    ),
];

const PARTITIONS: &[Case] = &[
    case(
        "alter table metrics attach partition metrics_2 for values from ('2024-02-01') to ('2024-03-01')",
        &["metrics_2_bound_check", "metrics_other_bound_check", "VALIDATE"],
    ),
    case(
        "create table metrics_3 partition of metrics for values from ('2024-03-01') to ('2024-04-01')",
        &["metrics_other_bound_check"],
    ),
    case("alter table events detach partition events_1", &["CONCURRENTLY", "DROP CONSTRAINT"]),
    stays("alter table metrics detach partition metrics_1", "with a default partition"),
];

const ROWS: &[Case] = &[
    case("update orders set note = 'x' where ref > 10", &["COMMIT", "AND (ref > 10"]),
    case("update orders set note = upper(status) || ':x', amount = 1", &["COMMIT"]),
    case(
        "update lines l set what = 'W' -- all\n where l.order_id < 2000 or what = 'x' -- some",
        &["COMMIT", "(order_id, line) >="],
    ),
    case("delete from orders where ref > 5000", &["COMMIT"]),
    stays("update orders set ref = ref + 20000", "computed twice"),
    stays("update orders set amount = amount * 2", "computed twice"),
    Case { ignored: &["made"], ..stays("update orders set made = now()", "now()") },
    stays("update orders set note = (select name from customers where id = customer_id)", "reads other tables"),
];

const OTHERS: &[Case] = &[
    case("refresh materialized view totals", &["view CONCURRENTLY totals"]),
    case("alter table customers rename to clients", &["CREATE VIEW public.customers", "DROP VIEW"]),
    case("begin; alter type mood add value 'calm'; alter table orders add m mood; commit;", &["IF NOT EXISTS 'calm'"]),
    case("alter table orders drop column note", &["drop column note"]),
    stays(
        "create table fresh (id int); create index on fresh (id); alter table fresh add check (id > 0)",
        "As written",
    ),
    stays("cluster orders using orders_pkey", "pg_repack"),
    stays("vacuum full customers", "pg_repack"),
];

const TRANSACTIONS: &[Case] = &[
    case(
        "-- +goose Up\ncreate index on orders (customer_id); alter table orders add a int;",
        &["-- +goose NO TRANSACTION", "CONCURRENTLY", "DO "],
    ),
    case("begin; alter table orders add a int; alter table orders add b int; commit;", &["SET LOCAL lock_timeout"]),
    case(
        "begin; create table k (id int primary key); insert into k values (1); create index on orders (customer_id); alter table orders add k int references k; commit;",
        &["BEGIN;", "COMMIT;", "CONCURRENTLY"],
    ),
    case(
        "set lock_timeout = '5s'; begin; update orders set note = 'y' where id = 1; alter table orders alter customer_id set not null; alter table customers add z int; commit; reset lock_timeout;",
        &["VALIDATE"],
    ),
];

use super::parse;
use crate::facts::query::WriteKind;
use crate::facts::statement_tree::{Distinct, ItemKind, JoinKind, Kind, LockWait, Select};

fn query(text: &str) -> Select {
    let (query, writing) = parse(text).unwrap();
    assert!(writing.is_none(), "{text}");
    query.unwrap()
}

#[test]
fn clauses_are_read() {
    let select = query(
        "with w as (select 1) select distinct t.a, b as c, count(*) from s.t left join w on w.a = t.a, u\n where t.a in (1, 2) and not x \
         group by 1, b having count(*) > 1 order by 2 desc limit 10 offset $1 for update of t skip locked",
    );
    assert_eq!(select.with.len(), 1);
    assert!(matches!(&select.items[0].kind, ItemKind::Unresolved));
    assert!(matches!(&select.from[0], crate::facts::statement_tree::From::Join { kind: JoinKind::Left, .. }));
    assert_eq!(select.from.len(), 2);
    assert!(matches!(select.distinct, Distinct::All) && select.has_aggregates);
    assert_eq!(select.group_by.len(), 2);
    assert!(
        select.order_by[0].descending
            && select.order_by[0].expression.location == select.targets[1].expression.location
    );
    assert_eq!(select.limit.as_ref().unwrap().number(), Some(10.0));
    assert!(matches!(select.offset.as_ref().unwrap().kind, Kind::Parameter(1)));
    assert_eq!(select.locks[0].wait, LockWait::SkipLocked);
    assert_eq!(select.condition.as_ref().unwrap().conjuncts().len(), 2);
}

#[test]
fn places_are_byte_offsets() {
    let text = "select 'ä',\n  ünder\nfrom t where a = 'x'";
    let select = query(text);
    let place = |position: usize| &text[select.targets[position].expression.location.unwrap()..];
    assert!(place(0).starts_with("'ä'") && place(1).starts_with("ünder"));
    assert!(text[select.condition.as_ref().unwrap().location.unwrap()..].starts_with("a = "));
}

#[test]
fn writes_are_told_beside_what_they_read() {
    let (query, writing) = parse("with w as (select 1) update t set a = 1 from w").unwrap();
    let (query, writing) = (query.unwrap(), writing.unwrap());
    assert_eq!((writing.kind, writing.has_condition), (WriteKind::Update, false));
    assert_eq!((query.items.len(), query.with.len()), (2, 1));
    let (query, writing) = parse("insert into t values (1) on conflict do nothing").unwrap();
    assert!(query.is_none() && writing.unwrap().on_conflict);
    let (query, writing) = parse("delete from t where a not in (select b from u)").unwrap();
    let condition = query.unwrap().condition.unwrap();
    assert!(
        writing.unwrap().has_condition
            && matches!(&condition.kind, Kind::Not(inner) if matches!(inner.kind, Kind::SubLink(_)))
    );
}

#[test]
fn long_chains_and_nonsense_are_no_trouble() {
    let chain = |word: &str, times: usize| format!("select * from t where {}", vec!["a = 1"; times].join(word));
    assert_eq!(
        query(&chain(" or ", 1000)).condition.map(|or| matches!(or.kind, Kind::Or(parts) if parts.len() == 1000)),
        Some(true)
    );
    for text in [chain(" or ", 100_000), chain(" + ", 100_000), "(".repeat(100_000), "selec".to_string(), String::new()]
    {
        assert!(parse(&text).is_err());
    }
    assert!(parse("vacuum t").is_err() && parse("select 1; select 2").is_err());
}

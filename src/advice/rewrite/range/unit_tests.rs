use super::*;

/// The condition that becomes of one on the column c.
fn condition(kind: Kind, condition: &str) -> Option<String> {
    let text = format!("SELECT 1 FROM t WHERE {condition}");
    let bytes = text.as_bytes();
    let word = |at: &usize| {
        !bytes[at - 1].is_ascii_alphanumeric() && !bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
    };
    let place = text.match_indices('c').map(|(at, _)| at).find(word)?;
    rewrite(&text, place, kind, true).map(|text| text.strip_prefix("SELECT 1 FROM t WHERE ").unwrap().to_string())
}

#[test]
fn periods() {
    let cases = [
        ("c::date = '2024-02-28'", "(c >= '2024-02-28' AND c < '2024-02-29')"),
        ("date(c) = DATE '2023-12-31'", "(c >= '2023-12-31' AND c < '2024-01-01')"),
        ("'2024-01-31' >= cast(c as date)", "c < '2024-02-01'"),
        ("c::date > '2024-01-31'", "c >= '2024-02-01'"),
        ("c::date BETWEEN '2024-01-01' AND '2024-01-31'", "(c >= '2024-01-01' AND c < '2024-02-01')"),
        ("c::date = $1", "(c >= $1::DATE AND c < $1::DATE + 1)"),
        ("c::date = current_date OR x", "(c >= current_date AND c < current_date + 1) OR x"),
        ("date_trunc('quarter', c) = '2024-10-01'", "(c >= '2024-10-01' AND c < '2025-01-01')"),
        ("date_trunc('day', c) < '2024-10-01 00:00:00'", "c < '2024-10-01'"),
        ("extract(year from c) = 2024", "(c >= '2024-01-01' AND c < '2025-01-01')"),
        ("date_part('year', c) <= 2024", "c < '2025-01-01'"),
    ];
    for (text, expected) in cases {
        assert_eq!(condition(Kind::Time, text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "c::date <> '2024-02-28'",
        "c::date = '2024-02-30'",
        "c::date = 'infinity'",
        "c::date = 'today'",
        "c::date = d",
        "c::timestamp = '2024-02-28'",
        "c::date + 1 = '2024-02-28'",
        "date_trunc('month', c) = '2024-02-02'",
        "date_trunc('week', c) = '2024-02-05'",
        "date_trunc('month', c) = $1",
        "date_trunc('day', c) = $1",
        "date_trunc('day', c) = '2024-02-05 00:00:01'",
        "extract(month from c) = 2",
        "extract(year from c) = 2024.5",
        "c = '2024-02-28'",
    ] {
        assert_eq!(condition(Kind::Time, text), None, "{text}");
    }
}

#[test]
fn integers() {
    let cases = [
        ("c + 1 > 5", "c > 4"),
        ("5 > 2 + c", "c < 3"),
        ("c - 10 = -3", "c = 7"),
        ("c::text = '-12'", "c = -12"),
        ("c::bigint = 5", "c = 5"),
        ("c::numeric <= 5.0", "c <= 5"),
        ("c = 5.00", "c = 5"),
        ("coalesce(c, 0) = 5", "c = 5"),
        ("coalesce(c, 0) < 5", "(c < 5 OR c IS NULL)"),
    ];
    for (text, expected) in cases {
        assert_eq!(condition(Kind::Integer, text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "c * 2 = 10",
        "5 - c = 3",
        "c + d = 3",
        "c + 1 = $1",
        "c::text = '012'",
        "c::text < '12'",
        "c::text = '+1'",
        "c::numeric(3, 1) = 5",
        "c = 5.5",
        "c = 5",
        "coalesce(c, d) = 5",
        "coalesce(c, 0, 1) = 5",
        "coalesce(c, 0) = $1",
        "c + 9223372036854775807 = -9",
    ] {
        assert_eq!(condition(Kind::Integer, text), None, "{text}");
    }
}

#[test]
fn texts() {
    assert_eq!(condition(Kind::Text, "coalesce(c, 'a') = 'b'").as_deref(), Some("c = 'b'"));
    assert_eq!(condition(Kind::Text, "coalesce(c, '') <> 'b'").as_deref(), Some("(c <> 'b' OR c IS NULL)"));
    assert_eq!(condition(Kind::Text, "coalesce(c, '') > 'b'"), None);
    assert_eq!(rewrite("select 1 from t where not coalesce(c, 'a') = 'b'", 35, Kind::Text, false), None);
    let uuid = "c::text = '00000000-0000-4000-8000-00000000000a'";
    assert_eq!(condition(Kind::Uuid, uuid).as_deref(), Some("c = '00000000-0000-4000-8000-00000000000a'"));
    assert_eq!(condition(Kind::Uuid, &uuid.to_uppercase().to_lowercase().replace("0a'", "0A'")), None);
}
